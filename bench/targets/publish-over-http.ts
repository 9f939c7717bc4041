import { messageSize } from '../bench.js';
import { now } from '../generator/clock.js';
import { makePayload } from '../generator/payload.js';

/** Publishes so many messages, one after the other. */
export async function publishOver(port: number, channel: string, messages: number): Promise<void> {
  for (let n = 0; n < messages; n++) {
    const response = await fetch(`http://127.0.0.1:${port}/publish?channel=${encodeURIComponent(channel)}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(makePayload(0, n, now(), messageSize)),
    });
    const id = Number(await response.text());
    if (id !== n + 1) throw new Error(`publish ${n + 1} of a new channel was answered ${response.status}, id ${id}`);
  }
}
