import { type Codec, decode } from './codec.js';

/** A message as the Node API gives it. All three lists of targets are null if the message is for everyone. */
export interface Message<Data = unknown> {
  /** Position among all messages of the bus: 1, 2, 3 … */
  globalId: number;
  /** Position in its channel: 1, 2, 3 … */
  messageId: number;
  channel: string;
  /** Null: no site. */
  siteId: string | null;
  data: Data;
  userIds: string[] | null;
  groupIds: string[] | null;
  clientIds: string[] | null;
}

/** Whom a message is for. A null list does not restrict. */
export interface Targets {
  userIds: string[] | null;
  groupIds: string[] | null;
  clientIds: string[] | null;
}

/**
 * A message on its way from the table to its readers. Its data stays the JSON text that Postgres wrote. The text that
 * polls are sent is formatted once, for all of them.
 */
export class StoredMessage {
  #wire: string | undefined;

  constructor(
    readonly globalId: number,
    readonly messageId: number,
    /** '' for no site. */
    readonly site: string,
    readonly channel: string,
    readonly targets: Targets | null,
    readonly json: string,
    /**
     * When the message passes its age (µs, database clock), by the settings at the time when it was announced or read.
     */
    readonly expires: number,
  ) {}

  /** The message as JSON text of the protocol. */
  get wire(): string {
    this.#wire ??= `{"global_id":${this.globalId},"message_id":${this.messageId},"channel":${JSON.stringify(this.channel)},"data":${this.json}}`;
    return this.#wire;
  }

  /** Makes a copy for each caller, so that what one callback does to it, no other sees. @throws POSTBUS_UNDECODABLE */
  toMessage<Data = unknown>(codec?: Codec): Message<Data> {
    return {
      globalId: this.globalId,
      messageId: this.messageId,
      channel: this.channel,
      siteId: this.site === '' ? null : this.site,
      data: codec ? decode(codec, this.json, this.channel, this.messageId) : JSON.parse(this.json),
      userIds: copy(this.targets?.userIds),
      groupIds: copy(this.targets?.groupIds),
      clientIds: copy(this.targets?.clientIds),
    };
  }
}

function copy(ids: string[] | null | undefined): string[] | null {
  return ids ? [...ids] : null;
}

export function toTargets(
  userIds: string[] | null,
  groupIds: string[] | null,
  clientIds: string[] | null,
): Targets | null {
  return userIds || groupIds || clientIds ? { userIds, groupIds, clientIds } : null;
}
