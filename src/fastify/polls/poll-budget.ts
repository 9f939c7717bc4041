import { errors } from '../../foundation/errors.js';

export interface PollLimits {
  maxActiveClients: number;
  maxWaitingChannels: number;
}

// What a poll takes besides its channels is as much as some channels take.
const pollWeight = 8;
const minAnswering = 10_000;
// While the database is asked for a channel, it takes some 2.5 kB.
const maxReading = 20_000;

/**
 * What the polls of a node may hold in memory. A poll is admitted before its lookups, so that those under way count, too.
 * Polls that may wait count by number and by channels; beyond either limit a poll is answered at once. Polls that are
 * answered at once also take memory until the database has told what is new: beyond half as many channels they are refused.
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

  /** Polls that wait, or will if they find nothing new. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Channels of the polls that wait, or will if they find nothing new. */
  get waitingChannels(): number {
    return this.#waitingChannels;
  }

  /** False while polls have so many channels to begin with that the next poll has to wait for its start. */
  get hasRoomToRead(): boolean {
    return this.#reading < maxReading;
  }

  /** @throws POSTBUS_TOO_BUSY */
  admit(channels: number, wantsToWait: boolean): Share {
    const { maxActiveClients, maxWaitingChannels } = this.limits;
    const mayWait =
      wantsToWait && this.#waiting < maxActiveClients && this.#waitingChannels + channels <= maxWaitingChannels;
    if (!mayWait && this.#answering + channels + pollWeight > this.#maxAnswering) throw new errors.TOO_BUSY();
    this.#count(channels, mayWait, 1);
    return new Share(this, channels, mayWait);
  }

  /** Called by a share, once. */
  giveBack({ channels, mayWait }: Share): void {
    this.#count(channels, mayWait, -1);
  }

  /** Called by a share when its poll begins to read (1), and when it has read or is over (-1). */
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
