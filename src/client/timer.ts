export type Timer = ReturnType<typeof setTimeout>;

/** Like setTimeout(), but waits at most 24 days: setTimeout() goes off at once if it is to wait longer, or forever. */
export function startTimer(action: () => void, ms: number): Timer {
  return setTimeout(action, Math.min(ms, 2 ** 31 - 1));
}
