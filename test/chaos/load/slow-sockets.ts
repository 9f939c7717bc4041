import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../random.js';
import type { Stage } from '../stage.js';

/** Connections to nodes by people who do not behave; nothing is accounted of them. */
export class SlowSockets {
  readonly #sockets = new Set<Socket>();
  #opened = 0;

  constructor(
    stage: Stage,
    private readonly url: () => string,
    private readonly random: Random,
  ) {
    stage.teardown(() => {
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  get open(): number {
    return this.#sockets.size;
  }

  /** Asks for a stream of everything, and never reads any of it. */
  async openDeafStream(channel: string): Promise<void> {
    const socket = await this.#connect();
    const body = JSON.stringify({ [channel]: 0 });
    socket.pause();
    socket.write(`${this.#head()}content-length: ${body.length}\r\n\r\n${body}`);
  }

  /** Sends the head of a poll and some of its body, a byte at a time, and ends in the midst of it or never. */
  async openSlowSender(): Promise<void> {
    const socket = await this.#connect();
    socket.resume();
    const isHeadSlow = this.random.isBelow(0.5);
    const text = `${this.#head()}content-length: 400\r\n\r\n{"/a":0,${' '.repeat(200)}`;
    const quick = isHeadSlow ? 20 : text.indexOf('{');
    socket.write(text.slice(0, quick));
    for (const byte of text.slice(quick)) {
      await delay(this.random.between(20, 400), undefined, { ref: false });
      if (socket.destroyed) return;
      socket.write(byte);
    }
    if (this.random.isBelow(0.5)) socket.destroy();
  }

  #head(): string {
    const id = `slow-${this.#opened++}`;
    return `POST /message-bus/${id}/poll HTTP/1.1\r\nhost: chaos\r\ncontent-type: application/json\r\n`;
  }

  async #connect(): Promise<Socket> {
    const { hostname, port } = new URL(this.url());
    const socket = connect(Number(port), hostname);
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
    return socket;
  }
}
