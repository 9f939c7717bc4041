import { type Poll, type PollMode, RateLimited } from './poll.js';
import type { ClientSettings } from './settings.js';
import { page } from './tab.js';

/** Decides when the next poll goes out, and in which mode, from the results of the last polls. */
export class Pace {
  failures = 0;
  /** Failed polls in a row, up to now. */
  recentFailures = 0;
  lastError: unknown;
  /** The server wants no polls until then, in ms of performance.now(), which nobody sets back. */
  notBefore = 0;
  /** Number of polls in a row that failed or ended too soon. */
  #retries = 0;
  /** Number of polls to send without a stream. */
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
    // If polls may wait now, and this one might not, its tab has been shown meanwhile.
    const isShown = isInForeground && enableLongPolling && !waits;
    let interval = isInForeground ? callbackInterval : backgroundCallbackInterval;
    if (isShown || (isNews && (isInForeground || isPartial))) interval = 0;
    // The server should have let this poll wait. A few more polls will show whether it has just been restarted or lets
    // none wait.
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

  /**
   * A pause in ms that doubles each time, up to a limit. It is random, so that the clients of a server do not all come
   * back at once.
   */
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
    // Outside a browser there is no tab that could be visible: the setting decides.
    return page ? !page.hidden : enableLongPolling;
  }
}
