import { errors } from '../../foundation/errors.js';

export interface PollLimits {
  maxActiveClients: number;
  maxWaitingChannels: number;
}

// Memory that a poll takes besides its channels, in channels.
const pollWeight = 8;
const minAnswering = 10_000;
// While a poll reads a channel from the database, the channel takes some 2.5 kB.
const maxReading = 20_000;

/**
 * Limits the memory that the polls of a node take. A poll is admitted before its lookups, so that polls whose lookups
 * are running count, too. Polls that may wait count by number and by channels; a poll beyond either limit is answered
 * at once. Polls that are answered at once also take memory, until the database has answered. Together they may have
 * half as many channels as `maxWaitingChannels`, but at least 10,000; beyond that, they are refused.
 */
export class PollBudget {
  #waiting = 0;
  #waitingChannels = 0;
  #answering = 0;
  #reading = 0;
  readonly #maxAnswering: number;

  /** Called when hasRoomToRead may have become true. */
  onRoomToRead = () => {};

  constructor(private readonly limits: PollLimits) {
    this.#maxAnswering = Math.max(minAnswering, limits.maxWaitingChannels / 2);
  }

  /** Number of polls that wait, or will if they find nothing new. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Number of channels of the polls that wait, or will if they find nothing new. */
  get waitingChannels(): number {
    return this.#waitingChannels;
  }

  /** False while polls read so many channels that the next poll must not start yet. */
  get hasRoomToRead(): boolean {
    return this.#reading < maxReading;
  }

  /** Takes a share for a poll with this number of channels. @throws POSTBUS_TOO_BUSY if there is no room */
  admit(channels: number, wantsToWait: boolean): Share {
    const { maxActiveClients, maxWaitingChannels } = this.limits;
    const mayWait =
      wantsToWait && this.#waiting < maxActiveClients && this.#waitingChannels + channels <= maxWaitingChannels;
    if (!mayWait && this.#answering + channels + pollWeight > this.#maxAnswering) throw new errors.TOO_BUSY();
    this.#count(channels, mayWait, 1);
    return new Share(this, channels, mayWait);
  }

  /** Returns a share to the budget; its share calls this once. */
  giveBack({ channels, mayWait }: Share): void {
    this.#count(channels, mayWait, -1);
  }

  /** Called by a share: with 1 when its poll begins to read, and with -1 when the poll has read or has ended. */
  countReading({ channels }: Share, sign: 1 | -1): void {
    const hadRoom = this.hasRoomToRead;
    this.#reading += sign * channels;
    if (!hadRoom && this.hasRoomToRead) this.onRoomToRead();
  }

  #count(channels: number, mayWait: boolean, sign: 1 | -1): void {
    if (mayWait) {
      this.#waiting += sign;
      this.#waitingChannels += sign * channels;
    } else {
      this.#answering += sign * (channels + pollWeight);
    }
  }
}

/** The part of the budget that one poll takes, until close(). */
export class Share {
  #budget: PollBudget | undefined;
  #isReading = false;

  constructor(
    budget: PollBudget,
    readonly channels: number,
    readonly mayWait: boolean,
  ) {
    this.#budget = budget;
  }

  beginReading(): void {
    this.#isReading = true;
    this.#budget?.countReading(this, 1);
  }

  endReading(): void {
    if (!this.#isReading) return;
    this.#isReading = false;
    this.#budget?.countReading(this, -1);
  }

  close(): void {
    this.endReading();
    this.#budget?.giveBack(this);
    this.#budget = undefined;
  }
}
