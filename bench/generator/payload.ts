/** The data of a published message: what whoever receives it needs to know of it, filled up to a size. */
export interface Payload {
  /** Of which phase it is. */
  run: number;
  /** Its number in the phase, from 0. */
  n: number;
  /** When it was sent, on the clock of now(). */
  at: number;
  x: string;
}

const frame = JSON.stringify({ run: '', n: '', at: '', x: '' }).length - 6;

/** `size`: bytes of its JSON. */
export function makePayload(run: number, n: number, sentAt: number, size: number): Payload {
  const at = Math.round(sentAt);
  const used = frame + `${run}${n}${at}`.length;
  return { run, n, at, x: 'x'.repeat(Math.max(0, size - used)) };
}
