import { channel, type Channel as DiagnosticsChannel } from 'node:diagnostics_channel';
import { debuglog } from 'node:util';
import { debugLine } from './debug-line.js';

/** A channel of the bus; `siteId` is null for no site. A channel of null is that of those who follow all channels. */
export interface Where {
  channel: string | null;
  siteId: string | null;
}

/**
 * On `postbus:publish`: what became of a message that was published in this process. With the option `client`, `published` is told
 * before the caller's transaction commits.
 */
export type PublishTrace = Where &
  (
    | { event: 'published'; messageId: number }
    /** Another transaction holds the channel: the message waits for its end. */
    | { event: 'held' }
    | { event: 'failed'; error: unknown }
    /** bus.off() was called: the message is dropped. */
    | { event: 'off' }
  );

/** What a node does with a notice, which is what a notification says of one message. */
export type NoticeOutcome =
  /** It goes to those who wait. */
  | 'dispatched'
  /** Nobody in this process has this channel of this site, or had it of late. */
  | 'nobody'
  /** Nobody waits at this moment; it is remembered for those who come back. */
  | 'kept'
  /** Messages before it, or its content, are read first. */
  | 'early'
  /** It has been handed out already. */
  | 'repeated';

/** On `postbus:notice`: what Postgres has told this process. */
export type NoticeTrace =
  | (Where & { event: NoticeOutcome; messageId: number; globalId: number; hasContent: boolean })
  /** Notifications between two global ids did not come: everything that is followed is read. */
  | { event: 'gap'; after: number; globalId: number }
  /** `forged`: not signed with the key of this bus; `malformed`: signed, but not understood. */
  | { event: 'ignored'; reason: 'forged' | 'malformed' };

/** On `postbus:read`: messages that were read after an id, from the tables or from memory. */
export type ReadTrace = Where &
  (
    | { event: 'read'; from: 'tables' | 'memory'; after: number; upTo: number; messageIds: number[] }
    | { event: 'failed'; after: number; error: unknown }
  );

/** Who messages are delivered to. */
export type TracedReader =
  | { kind: 'poll' | 'stream'; clientId: string; userId: string | null }
  /** A callback of bus.subscribe(). */
  | { kind: 'callback' };

/** On `postbus:deliver`: what a reader was handed, or why not. Ids are global ones where `channel` is null. */
export type DeliverTrace = Where & { reader: TracedReader } & DeliveryEvent;

export type DeliveryEvent =
  | { event: 'handed'; messageIds: number[] }
  /** `filter`: a filter of the application hides it; `targets`: it is for other users, groups or clients. */
  | { event: 'hidden'; messageIds: number[]; reason: 'filter' | 'targets' }
  /** The reader had it from its backlog, or from an earlier read. */
  | { event: 'had'; messageIds: number[]; position: number }
  /** The reader has not taken what it was sent before: it is read again when it has. */
  | { event: 'full'; messageIds: number[] }
  /** The reader's id was beyond the channel's last one, or of a past that is no more: it goes on after this id. */
  | { event: 'moved'; position: number }
  | { event: 'failed'; error: unknown };

/** What subscribers of node:diagnostics_channel get, by the name of the channel. */
export interface Traces {
  'postbus:publish': PublishTrace;
  'postbus:notice': NoticeTrace;
  'postbus:read': ReadTrace;
  'postbus:deliver': DeliverTrace;
}

/** One diagnostics channel. Callers ask isOn first, so that nobody makes an object that nobody reads: some nanoseconds. */
class Trace<Name extends keyof Traces> {
  /** Not a #field: whether it may be read is checked each time, a nanosecond for each message and client. */
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

/** '' is no site in the code, null outside of it. */
export function whereOf(site: string, channel: string | null): Where {
  return { channel, siteId: site === '' ? null : site };
}
