import { setTimeout as delay } from 'node:timers/promises';

/** Waits for a condition, not for a time; fails after a time that is long on any machine. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, ms = 60_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited in vain until ${what}`);
    await delay(5);
  }
}
