import Fastify, { type FastifyInstance } from 'fastify';
import type { Test } from 'tap';
import postbus, { type PostbusOptions } from '../../src/fastify/index.js';

/** An application with the plugin, listening on a free port; closed with the test, before its bus. */
export async function listen(
  t: Test,
  options: PostbusOptions,
  prepare: (app: FastifyInstance) => void = () => {},
): Promise<{ app: FastifyInstance; url: string }> {
  // A fetch that is aborted may leave a connection on which nothing was ever asked: the plugin would give it some time.
  const app = Fastify({ logger: false, forceCloseConnections: true });
  prepare(app);
  await app.register(postbus, options);
  t.teardown(() => app.close());
  return { app, url: await app.listen({ port: 0, host: '127.0.0.1' }) };
}

export interface Polled {
  status: number;
  headers: Headers;
  text: string;
}

/** One poll that is not streamed. */
export async function poll(
  url: string,
  channels: Record<string, unknown>,
  {
    client = 'client',
    headers = {},
    dlp = false,
    signal,
  }: { client?: string; headers?: Record<string, string>; dlp?: boolean; signal?: AbortSignal } = {},
): Promise<Polled & { messages: WireMessage[] }> {
  const response = await fetch(`${url}/message-bus/${client}/poll${dlp ? '?dlp=t' : ''}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'dont-chunk': 'true', ...headers },
    body: JSON.stringify(channels),
    ...(signal ? { signal } : {}),
  });
  const text = await response.text();
  const body: unknown = JSON.parse(text);
  return { status: response.status, headers: response.headers, text, messages: Array.isArray(body) ? body : [] };
}

export interface WireMessage {
  global_id: number;
  message_id: number;
  channel: string;
  data: unknown;
}

/** A streamed poll: frames as they come. */
export async function* stream(
  url: string,
  channels: Record<string, unknown>,
  {
    client = 'client',
    headers = {},
    signal,
  }: { client?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
): AsyncGenerator<WireMessage[], void> {
  const response = await fetch(`${url}/message-bus/${client}/poll`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(channels),
    ...(signal ? { signal } : {}),
  });
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf('\r\n|\r\n'); end >= 0; end = text.indexOf('\r\n|\r\n')) {
      const frame: unknown = JSON.parse(text.slice(0, end));
      text = text.slice(end + 5);
      if (Array.isArray(frame)) yield frame;
    }
  }
}
