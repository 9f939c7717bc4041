/** Called with a message: its data, its global id and its message id. */
export type MessageCallback<Data = unknown> = (data: Data, globalId: number, messageId: number) => unknown;

/** A subscription: one callback of one channel. */
export interface Callback {
  readonly channel: string;
  readonly func: MessageCallback;
  /**
   * Id of the last message taken. Negative until the server has said where the channel is: -1: from now on, and so on.
   */
  last_id: number;
  /** True if the server has confirmed that the channel goes as far as `last_id`. */
  isSettled: boolean;
}

/** A message as the server sends it. */
export interface WireMessage {
  channel: string;
  global_id: number;
  /** Servers other than ours may send messages without an id, which have no position in their channel. */
  message_id: number;
  data: unknown;
}

interface Place {
  callbacks: Callback[];
  /** The poll has brought everything up to this id; Infinity until a status says where the channel is. */
  reached: number;
}

/**
 * What one poll asks for, and for which callbacks each of its messages is new. A poll has one position per channel, but
 * the callbacks of a channel may have several: the poll asks from the earliest, and each callback takes what follows on
 * its own.
 */
export class PollPositions {
  readonly #places = new Map<string, Place>();
  /** True if the poll asks where channels are, so that the next poll can fetch from there. */
  readonly isSettling: boolean = false;

  constructor(all: readonly Callback[]) {
    for (const callback of all) {
      const place = this.#places.get(callback.channel);
      if (place) place.callbacks.push(callback);
      else this.#places.set(callback.channel, { callbacks: [callback], reached: 0 });
    }
    for (const place of this.#places.values()) {
      const ids = place.callbacks.map((each) => each.last_id);
      const earliest = Math.min(...ids);
      const isMixed = earliest < Math.max(...ids);
      // Of several positions, one may lie beyond the end. The server would not say so, because it is asked from the
      // earliest.
      const isUnknown = earliest < 0 || (isMixed && place.callbacks.some((each) => !each.isSettled));
      place.reached = isUnknown ? Number.POSITIVE_INFINITY : earliest;
      this.isSettling ||= isUnknown && (isMixed || earliest < -1);
    }
  }

  /** The channels, each with the id to ask from. */
  get asked(): [string, string][] {
    return [...this.#places].map(([channel, { reached }]) => [channel, reached < Infinity ? `${reached}` : '-1']);
  }

  /** Moves on the callbacks for which this message is the next one, and returns them. */
  take({ channel, message_id: id }: WireMessage): Callback[] {
    const place = this.#places.get(channel);
    if (!place) return [];
    if (!(id > 0)) return place.callbacks;
    // The message came before the status that would have told where the channel was: at the id before this message.
    if (place.reached === Number.POSITIVE_INFINITY) this.move({ [channel]: id - 1 });
    if (place.reached >= id) return [];
    const takers = place.callbacks.filter(({ last_id }) => last_id >= place.reached && last_id < id);
    place.reached = id;
    for (const taker of takers) taker.last_id = id;
    return takers;
  }

  /**
   * Takes a status, which says where channels are: beyond messages that are not for this client, or at an earlier id if
   * a channel does not go as far as the client has asked.
   */
  move(status: unknown): void {
    for (const [channel, id] of Object.entries<number>(Object(status))) {
      const place = this.#places.get(channel);
      if (!place || !Number.isSafeInteger(id)) continue;
      for (const callback of place.callbacks) {
        const { last_id } = callback;
        if (last_id < 0) callback.last_id = Math.max(0, id + 1 + last_id);
        else if (last_id > id ? place.reached > id : last_id >= place.reached) callback.last_id = id;
        callback.isSettled = true;
      }
      place.reached = id;
    }
  }
}
