import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';

/**
 * What happens to an answer on its way: it passes; it is kept until it is complete; nothing of it ever arrives, and the
 * connection stays; it breaks off after so many bytes.
 */
export type Treatment = 'pass' | 'buffer' | 'swallow' | { breakAfter: number };

export interface Proxy {
  url: string;
  /** Of the answers to the requests from now on. */
  treat: () => Treatment;
  requests: number;
}

/** Stands between clients and a server, or several, by path; closed with the test. */
export async function startProxy(t: Test, target: string | ((path: string) => string)): Promise<Proxy> {
  const proxy: Proxy = { url: '', treat: () => 'pass', requests: 0 };
  const server = http.createServer((request, response) => {
    proxy.requests++;
    const treatment = proxy.treat();
    const { method, headers, url = '/' } = request;
    const origin = typeof target === 'string' ? target : target(url);
    // A connection for each request: they reach any of the processes behind an address.
    const options = { method, headers, agent: false } as const;
    const upstream = http.request(origin + url, options, (answer) => forward(answer, response, treatment));
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  proxy.url = `http://127.0.0.1:${port}`;
  return proxy;
}

function forward(answer: http.IncomingMessage, response: http.ServerResponse, treatment: Treatment): void {
  answer.on('error', () => response.destroy());
  if (treatment === 'swallow') {
    answer.resume();
    return;
  }
  const { statusCode = 502, headers } = answer;
  if (treatment === 'buffer') {
    const chunks: Buffer[] = [];
    answer.on('data', (chunk: Buffer) => chunks.push(chunk));
    answer.on('end', () => response.writeHead(statusCode, headers).end(Buffer.concat(chunks)));
    return;
  }
  response.writeHead(statusCode, headers);
  response.flushHeaders();
  if (treatment === 'pass') {
    answer.pipe(response);
    return;
  }
  let left = treatment.breakAfter;
  answer.on('end', () => response.end());
  answer.on('data', (chunk: Buffer) => {
    const part = chunk.subarray(0, left);
    left -= part.length;
    response.write(part, () => {
      if (left === 0) response.destroy();
    });
  });
}
