import { setTimeout as sleep } from 'node:timers/promises';

/** Asks again and again until the answer is not undefined; undefined when the time is up. */
export async function poll<T>(
  ask: () => T | undefined | Promise<T | undefined>,
  patience: number,
  pause = 20,
): Promise<T | undefined> {
  const deadline = Date.now() + patience;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined || Date.now() >= deadline) return answer;
    await sleep(pause);
  }
}

/** Whether the promise settles in time. */
export async function within(promise: Promise<unknown>, patience: number): Promise<boolean> {
  const timer = new AbortController();
  const settled = promise.then(
    () => true,
    () => true,
  );
  const late = sleep(patience, false, { signal: timer.signal }).catch(() => false);
  const answer = await Promise.race([settled, late]);
  timer.abort();
  return answer;
}
