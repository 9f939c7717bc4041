import { connect } from 'node:net';

export interface RawAnswer {
  /** NaN: the connection was closed without an answer. */
  status: number;
  head: string;
  body: string;
}

/** Sends bytes as they are and resolves to what came back until the server closed the connection. */
export function sendRaw(url: string, bytes: string): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(Number(port), hostname.replace(/[[\]]/g, ''), () => socket.write(bytes));
    socket.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      const [head = '', body = ''] = text.split('\r\n\r\n', 2);
      resolve({ status: Number(head.slice(9, 12) || Number.NaN), head, body });
    });
  });
}
