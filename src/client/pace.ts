import { type Poll, type PollMode, RateLimited } from './poll.js';
import type { ClientSettings } from './settings.js';
import { page } from './tab.js';

/** When the next poll goes out, and in which way: what the last ones have come to decides. */
export class Pace {
  failures = 0;
  /** In a row, up to now. */
  recentFailures = 0;
  lastError: unknown;
  /** Of performance.now(), which nobody sets back: until then the server wants no polls. */
  notBefore = 0;
  /** Polls in a row that failed or ended too soon. */
  #retries = 0;
  /** Polls to go without a stream. */
  #unstreamed = 0;

  constructor(private readonly settings: ClientSettings) {}

  nextMode(): PollMode {
    const { enableLongPolling, enableChunkedEncoding } = this.settings;
    const waits = enableLongPolling && this.#isInForeground();
    const streams = waits && enableChunkedEncoding && this.#unstreamed === 0;
    if (this.#unstreamed > 0) this.#unstreamed--;
    return { waits, streams };
  }

  /** Ms from the end of this answer to the next poll. */
  afterAnswer({ waits, isNews, isPartial, elapsed }: Poll): number {
    const { enableLongPolling, minPollInterval, callbackInterval, backgroundCallbackInterval } = this.settings;
    const isInForeground = this.#isInForeground();
    // Where polls may wait now, and this one might not, its tab has been shown.
    const isShown = isInForeground && enableLongPolling && !waits;
    let interval = isInForeground ? callbackInterval : backgroundCallbackInterval;
    if (isShown || (isNews && (isInForeground || isPartial))) interval = 0;
    // The server was to let it wait. Whether it has just been restarted or lets none wait will show in a few more polls.
    else if (isInForeground && waits) interval = this.#backOff(callbackInterval);
    if (elapsed >= interval) this.#retries = 0;
    return Math.max(minPollInterval, interval - elapsed);
  }

  afterFailure(error: unknown, poll: Poll): number {
    const { callbackInterval, maxPollInterval, minPollInterval, retryChunkedAfterRequests } = this.settings;
    if (!poll.isGivenUp) this.lastError = error;
    if (error instanceof RateLimited) {
      const ms = error.ms ?? callbackInterval * (1 + Math.random() / 10);
      this.notBefore = performance.now() + ms;
      return ms;
    }
    if (poll.isHeldUp) this.#unstreamed = retryChunkedAfterRequests;
    if (poll.isGivenUp) return minPollInterval;
    this.failures++;
    this.recentFailures++;
    console.warn('MessageBus: a poll failed.', error);
    return this.#backOff(maxPollInterval);
  }

  /** Grows each time; at random, for the clients of a server not to come back all at once. */
  #backOff(most: number): number {
    const ms = Math.min(most, Math.max(1, this.settings.minPollInterval) * 2 ** ++this.#retries);
    return ms * (0.5 + Math.random() / 2);
  }

  #isInForeground(): boolean {
    const { alwaysLongPoll, shouldLongPollCallback, enableLongPolling } = this.settings;
    if (alwaysLongPoll) return true;
    try {
      if (shouldLongPollCallback) return shouldLongPollCallback();
    } catch (error) {
      console.error('MessageBus: shouldLongPollCallback failed.', error);
    }
    // Outside a browser there is only the other ground.
    return page ? !page.hidden : enableLongPolling;
  }
}
