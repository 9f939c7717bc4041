import { once } from 'node:events';
import type { FastifyReply } from 'fastify';

type Response = FastifyReply['raw'];

const graceMs = 500;

/**
 * Waits until answers that have ended have left, so that their connections are idle when the server closes those that
 * are: else it would wait for the clients to let go of them. Clients that do not read are cut off.
 */
export async function drain(responses: ReadonlySet<Response>): Promise<void> {
  const cutOff = setTimeout(() => {
    for (const response of responses) response.destroy();
  }, graceMs);
  await Promise.all([...responses].map((response) => once(response, 'close')));
  clearTimeout(cutOff);
}
