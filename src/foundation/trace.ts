import { channel, type Channel as DiagnosticsChannel } from 'node:diagnostics_channel';
import { debuglog } from 'node:util';
import { debugLine } from './debug-line.js';

/** A channel of the bus. `siteId` is null for no site; `channel` is null for readers that follow all channels. */
export interface Where {
  channel: string | null;
  siteId: string | null;
}

/**
 * On `postbus:publish`: what became of a message that was published in this process. With the option `client`,
 * `published` is traced before the caller's transaction commits.
 */
export type PublishTrace = Where &
  (
    | { event: 'published'; messageId: number }
    /** Another transaction has locked the channel's row: the message waits for the end of that transaction. */
    | { event: 'held' }
    | { event: 'failed'; error: unknown }
    /** bus.off() was called: the message is dropped. */
    | { event: 'off' }
  );

/** What a node does with a notice, which is the part of a notification about one message. */
export type NoticeOutcome =
  /** It is dispatched to the readers that wait. */
  | 'dispatched'
  /** No reader in this process follows this channel of this site, or has done so lately. */
  | 'nobody'
  /** No reader waits at this moment; the message is kept in memory for readers that come back. */
  | 'kept'
  /** Earlier messages or the content of this one are missing, and are read from the tables first. */
  | 'early'
  /** The message was dispatched earlier. */
  | 'repeated';

/** On `postbus:notice`: what Postgres has notified this process of. */
export type NoticeTrace =
  | (Where & { event: NoticeOutcome; messageId: number; globalId: number; hasContent: boolean })
  /** Notifications between two global ids did not arrive, so all channels that are followed are read. */
  | { event: 'gap'; after: number; globalId: number }
  /** `forged`: not signed with the key of this bus; `malformed`: signed, but not understood. */
  | { event: 'ignored'; reason: 'forged' | 'malformed' };

/** On `postbus:read`: the messages with ids above `after` that were read, from the tables or from memory. */
export type ReadTrace = Where &
  (
    | { event: 'read'; from: 'tables' | 'memory'; after: number; upTo: number; messageIds: number[] }
    | { event: 'failed'; after: number; error: unknown }
  );

/** The reader that messages are delivered to. */
export type TracedReader =
  | { kind: 'poll' | 'stream'; clientId: string; userId: string | null }
  /** A callback of bus.subscribe(). */
  | { kind: 'callback' };

/**
 * On `postbus:deliver`: the messages that a reader was handed, or why not. If `channel` is null, ids are global ids.
 */
export type DeliverTrace = Where & { reader: TracedReader } & DeliveryEvent;

export type DeliveryEvent =
  | { event: 'handed'; messageIds: number[] }
  /**
   * `filter`: a filter of the application hides the messages; `targets`: they are for other users, groups or clients.
   */
  | { event: 'hidden'; messageIds: number[]; reason: 'filter' | 'targets' }
  /** The reader already has them, from its backlog or from an earlier read. */
  | { event: 'had'; messageIds: number[]; position: number }
  /** The reader has not taken what it was sent before; once it has, these messages are read again. */
  | { event: 'full'; messageIds: number[] }
  /** The reader's id was beyond the channel's last one, or belonged to another past; it goes on after `position`. */
  | { event: 'moved'; position: number }
  | { event: 'failed'; error: unknown };

/** What subscribers of node:diagnostics_channel receive, by the name of the diagnostics channel. */
export interface Traces {
  'postbus:publish': PublishTrace;
  'postbus:notice': NoticeTrace;
  'postbus:read': ReadTrace;
  'postbus:deliver': DeliverTrace;
}

/**
 * One diagnostics channel. Callers check `isOn` first, which costs some nanoseconds, and build no object while nobody
 * subscribes.
 */
class Trace<Name extends keyof Traces> {
  /** Not a #field: JavaScript checks each access to one, which would cost a nanosecond for each message and client. */
  private readonly channel: DiagnosticsChannel;

  constructor(readonly name: Name) {
    this.channel = channel(name);
  }

  get isOn(): boolean {
    return this.channel.hasSubscribers;
  }

  tell(trace: Traces[Name]): void {
    this.channel.publish(trace);
  }

  /** Writes each trace to a log, as NODE_DEBUG=postbus does. */
  write(log: (line: string) => void): void {
    this.channel.subscribe((trace) => log(debugLine(this.name, Object(trace))));
  }
}

export const publishTrace = new Trace('postbus:publish');
export const noticeTrace = new Trace('postbus:notice');
export const readTrace = new Trace('postbus:read');
export const deliverTrace = new Trace('postbus:deliver');

const log = debuglog('postbus');
if (log.enabled) {
  for (const trace of [publishTrace, noticeTrace, readTrace, deliverTrace]) trace.write((line) => log('%s', line));
}

/** Converts the site of our code, '' for none, to that of the API, null for none. */
export function whereOf(site: string, channel: string | null): Where {
  return { channel, siteId: site === '' ? null : site };
}
