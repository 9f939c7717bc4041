import type { Server } from 'node:net';
import type { Profile } from '../measurement.js';
import { NodeProfile } from '../profile/node-profile.js';

/** What a process says of itself. */
export interface Usage {
  /** Bytes of memory. */
  rss: number;
  /** Seconds of CPU so far. */
  cpu: number;
}

/** What the bench asks for, and what it is answered. */
export interface Answers {
  usage: Usage;
  'begin profile': null;
  'end profile': Profile['shares'];
}

/** Tells the bench that this server listens, answers what it asks, and ends with the process. */
export function reportToBench(server: Server): void {
  const profile = new NodeProfile();
  const answers: { [Question in keyof Answers]: () => Answers[Question] | Promise<Answers[Question]> } = {
    usage: () => {
      const { user, system } = process.cpuUsage();
      return { rss: process.memoryUsage.rss(), cpu: (user + system) / 1e6 };
    },
    'begin profile': () => {
      profile.begin();
      return null;
    },
    'end profile': () => profile.end(),
  };
  process.on('message', async (question: keyof Answers) => process.send?.(await answers[question]()));
  process.on('disconnect', () => process.exit());
  const address = server.address();
  if (address !== null && typeof address === 'object') process.send?.({ port: address.port });
}
