import pg from 'pg';
import { serve } from '../generator/thread.js';

const clients: pg.Client[] = [];

const handlers = {
  /** A session that listens, as every node does, so that NOTIFY has somebody to wake. */
  async listen({ url, channel }: { url: string; channel: string }): Promise<void> {
    const client = new pg.Client(url);
    await client.connect();
    client.on('notification', () => {});
    await client.query(`listen ${pg.escapeIdentifier(channel)}`);
    clients.push(client);
  },

  async close(): Promise<void> {
    await Promise.all(clients.splice(0).map((client) => client.end()));
  },
};

export type ListenerThread = typeof handlers;

serve(handlers);
