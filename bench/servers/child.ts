import type { Server } from 'node:net';

/** What a process says of itself. */
export interface Usage {
  /** Bytes of memory. */
  rss: number;
  /** Seconds of CPU so far. */
  cpu: number;
}

/** Tells the bench that this server listens, answers how much it uses, and ends with the process. */
export function reportToBench(server: Server): void {
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ rss: process.memoryUsage.rss(), cpu: (user + system) / 1e6 } satisfies Usage);
  });
  process.on('disconnect', () => process.exit());
  const address = server.address();
  if (address !== null && typeof address === 'object') process.send?.({ port: address.port });
}
