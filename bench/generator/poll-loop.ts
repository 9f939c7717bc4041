import { now } from './clock.js';
import { Connection, postRequest } from './connection.js';
import { FrameDecoder } from './frames.js';
import { Histogram, type HistogramData } from './histogram.js';

export interface PollLoop {
  port: number;
  clients: number;
  seconds: number;
  channel: string;
  /** The id that each poll asks from, and the ids that it is to be answered with: `position + 1` to `lastId`. */
  position: number;
  lastId: number;
  tag: string;
}

export interface PollReport {
  answers: number;
  /** Answers that were not exactly what was asked for, and connections lost. */
  wrong: number;
  latency: HistogramData;
}

/** Clients that read at once (`dlp=t`), each again as soon as it is answered. */
export async function measurePolls(loop: PollLoop): Promise<PollReport> {
  const latency = new Histogram();
  const decoder = new FrameDecoder(() => {});
  const end = now() + loop.seconds * 1e6;
  let wrong = 0;
  const isRight = (status: number, body: string): boolean => {
    if (status !== 200) return false;
    const { deliveries } = decoder.decode(body);
    return (
      deliveries.length === loop.lastId - loop.position &&
      deliveries.every(({ id, channel }, i) => id === loop.position + 1 + i && channel === loop.channel)
    );
  };
  // Equal bytes need no second look.
  let right: string | undefined;

  const client = (name: string): Promise<void> =>
    new Promise((done) => {
      let sequence = 0;
      let sentAt = 0;
      let status = 0;
      let body: string[] = [];
      const poll = () => {
        sentAt = now();
        if (sentAt >= end) {
          connection.close();
          done();
          return;
        }
        const form = `${encodeURIComponent(loop.channel)}=${loop.position}&__seq=${++sequence}`;
        const path = `/message-bus/${name}/poll?dlp=t`;
        connection.send(postRequest(path, 'application/x-www-form-urlencoded', form, 'Dont-Chunk: true\r\n'));
      };
      const connection = new Connection(loop.port, {
        onOpen: poll,
        onHead: (answered) => {
          status = answered;
        },
        onBody: (text) => body.push(text),
        onEnd: () => {
          const at = now();
          const text = body.join('');
          body = [];
          if (text === right || isRight(status, text)) {
            right = text;
            if (at <= end) latency.add(at - sentAt);
          } else {
            wrong++;
          }
          poll();
        },
        onLost: () => {
          wrong++;
          done();
        },
      });
    });

  await Promise.all(Array.from({ length: loop.clients }, (_, i) => client(`${loop.tag}-${i}`)));
  return { answers: latency.count, wrong, latency };
}
