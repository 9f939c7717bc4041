/** What a callback is given: the data, the global id, the message id. */
export type MessageCallback<Data = unknown> = (data: Data, globalId: number, messageId: number) => unknown;

/** One callback of one channel. */
export interface Callback {
  readonly channel: string;
  readonly func: MessageCallback;
  /** Of the last message taken; negative until the server has said where the channel is: -1 from now on, and so on. */
  last_id: number;
  /** Whether the server has confirmed that the channel goes as far. */
  isSettled: boolean;
}

/** As the server sends it. */
export interface WireMessage {
  channel: string;
  global_id: number;
  /** Servers other than ours may send messages without one, which have no place in their channel. */
  message_id: number;
  data: unknown;
}

interface Place {
  callbacks: Callback[];
  /** How far the poll has told; Infinity until a status says where that is. */
  reached: number;
}

/**
 * What one poll asks for, and which callbacks each of its messages is news to. A poll has one place in a channel, whose
 * callbacks may have several: it asks from the earliest, and each takes what follows on its own.
 */
export class PollPositions {
  readonly #places = new Map<string, Place>();
  /** Whether it asks where channels are, for the next poll to fetch from there. */
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
      // Of several, one may lie beyond the end: asked from the earliest, the server would not say so.
      const isUnknown = earliest < 0 || (isMixed && place.callbacks.some((each) => !each.isSettled));
      place.reached = isUnknown ? Number.POSITIVE_INFINITY : earliest;
      this.isSettling ||= isUnknown && (isMixed || earliest < -1);
    }
  }

  /** Channels with the ids to ask for. */
  get asked(): [string, string][] {
    return [...this.#places].map(([channel, { reached }]) => [channel, reached < Infinity ? `${reached}` : '-1']);
  }

  /** Moves those callbacks on that the message is the next one for, and returns them. */
  take({ channel, message_id: id }: WireMessage): Callback[] {
    const place = this.#places.get(channel);
    if (!place) return [];
    if (!(id > 0)) return place.callbacks;
    // It came before the status that would have told where the channel was: just before it.
    if (place.reached === Number.POSITIVE_INFINITY) this.move({ [channel]: id - 1 });
    if (place.reached >= id) return [];
    const takers = place.callbacks.filter(({ last_id }) => last_id >= place.reached && last_id < id);
    place.reached = id;
    for (const taker of takers) taker.last_id = id;
    return takers;
  }

  /** The server says where channels are: past what is not for this client, or back where they do not go as far. */
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
