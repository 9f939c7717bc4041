import { createServer } from 'node:net';
import { Failure } from '../system/errors.js';

/** The port asked for, else the last one when it is free, else a free one. */
export async function choosePort(wanted: number | undefined, last: number | undefined): Promise<number> {
  if (wanted) {
    if ((await listenOn(wanted)) === undefined) throw new Failure('POSTBUS_EMBEDDED_PORT', String(wanted));
    return wanted;
  }
  const port = (last && (await listenOn(last))) || (await listenOn(0));
  if (!port) throw new Failure('POSTBUS_EMBEDDED_START', 'there is no free port on 127.0.0.1');
  return port;
}

/** The port that was listened on for a moment; undefined when it is taken. */
function listenOn(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : undefined));
    });
  });
}
