export type Timer = ReturnType<typeof setTimeout>;

/** setTimeout(), which goes off at once where it is to wait for longer than 24 days, or forever. */
export function startTimer(action: () => void, ms: number): Timer {
  return setTimeout(action, Math.min(ms, 2 ** 31 - 1));
}
