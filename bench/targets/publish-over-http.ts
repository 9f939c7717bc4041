import { messageSize } from '../bench.js';
import { now } from '../generator/clock.js';
import { makePayload } from '../generator/payload.js';

const together = 100;

/** Publishes so many messages to a channel that has none. */
export async function publishOver(port: number, channel: string, messages: number): Promise<void> {
  const publish = async (n: number) => {
    const response = await fetch(`http://127.0.0.1:${port}/publish?channel=${encodeURIComponent(channel)}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(makePayload(0, n, now(), messageSize)),
    });
    return Number(await response.text());
  };
  let lastId = 0;
  for (let sent = 0; sent < messages; sent += together) {
    const batch = Array.from({ length: Math.min(together, messages - sent) }, (_, i) => publish(sent + i));
    lastId = Math.max(...(await Promise.all(batch)));
  }
  if (lastId !== messages) throw new Error(`after ${messages} publishes to a new channel its last id is ${lastId}`);
}
