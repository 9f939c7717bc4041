import type { Database } from '../database/database.js';
import type { Dispatcher } from '../delivery/dispatcher.js';
import { isPostbusError } from '../foundation/errors.js';
import type { Meter } from '../foundation/meter.js';
import type { Listening } from '../listening/listening.js';
import type { Settings } from './options.js';

export interface Rate {
  /** Count since the start of the process. */
  total: number;
  /** Average per second, over the last minute. */
  perSecond: number;
}

/** The state of a bus, as this process knows it. */
export interface Diagnostics {
  /** The name of this process on the bus. */
  node: string;
  /** Seconds since the process was started. */
  uptime: number;
  /** Bytes of memory that the process holds (resident set size). */
  memory: number;
  /** Other nodes whose beats came within three of our intervals, and the time at which the last one came. */
  otherNodes: { node: string; heardAt: string }[];
  listener: {
    isOff: boolean;
    isConnected: boolean;
    /** Number of listening connections made so far. */
    connections: number;
    keepaliveInterval: number;
    /** Time at which the last beat of this bus came back; null before the first. */
    heardItselfAt: string | null;
  };
  rates: {
    /** Messages given to publish() and publishMany() in this process. */
    published: Rate;
    /** Messages that notifications brought, whoever published them. */
    received: Rate;
  };
  /** The channels that polls and subscriptions of this process wait for. */
  channels: {
    followed: number;
    /**
     * Number of polls and subscriptions, each counted once for every channel that it waits for; those for all channels
     * count once.
     */
    waiting: number;
    /** The channels with the most waiting readers. */
    busiest: { siteId: string | null; channel: string; lastId: number | null; waiting: number }[];
  };
  /** The backlogs in the database; the code of the error if the database cannot be asked. */
  backlogs:
    | {
        lastGlobalId: number;
        channels: number;
        settings: Settings;
        /** The 20 channels with the largest backlogs. Of each channel, only the last 10000 messages are counted. */
        largest: { siteId: string | null; channel: string; lastId: number; messages: number }[];
      }
    | { error: string };
}

export interface DiagnosedParts {
  database: Database;
  dispatcher: Dispatcher;
  /** The name of this node. */
  node: string;
  listening: Listening;
  published: Meter;
  isOff: boolean;
}

const busiest = 20;

export async function diagnose(parts: DiagnosedParts): Promise<Diagnostics> {
  const { database, dispatcher, node, listening, published, isOff } = parts;
  const { channels, cursors } = dispatcher.counts;
  return {
    node,
    uptime: Math.floor(process.uptime()),
    memory: process.memoryUsage.rss(),
    otherNodes: listening.otherNodes(),
    listener: { isOff, isConnected: listening.isConnected, ...listening.snapshot },
    rates: { published: published.read(), received: listening.received.read() },
    channels: { followed: channels, waiting: cursors, busiest: dispatcher.busiest(busiest) },
    backlogs: await readBacklogs(database),
  };
}

async function readBacklogs(database: Database): Promise<Diagnostics['backlogs']> {
  try {
    const rows = await database.read<{ backlogs: Exclude<Diagnostics['backlogs'], { error: string }> }>(
      `select ${database.name('diagnostics')}() as backlogs`,
    );
    return rows[0]?.backlogs ?? { error: 'POSTBUS_NO_SCHEMA' };
  } catch (error) {
    if (isPostbusError(error)) return { error: error.code };
    throw error;
  }
}
