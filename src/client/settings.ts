/**
 * Each setting may also be changed later, as a property of the client; it counts from the next request on. All
 * intervals and timeouts are in ms.
 */
export class ClientSettings {
  /**
   * Where the plugin is mounted: `/`, `/bus/`, `https://example.org/`. Outside a browser, it has to be a whole address.
   */
  baseUrl = '/';
  /** Headers that are added to each poll, except those that are undefined or null. */
  headers: Record<string, string | null | undefined> = {};
  /** True if polls may wait on the server for a message. */
  enableLongPolling = true;
  /** True if one poll may bring many messages, as they come. */
  enableChunkedEncoding = true;
  /** From the start of a poll that was answered at once to the start of the next one. */
  callbackInterval = 15_000;
  /** Like callbackInterval, but for a hidden tab; also used outside a browser if long polling is off. */
  backgroundCallbackInterval = 60_000;
  /** Minimum time from an answer to the next poll. */
  minPollInterval = 100;
  /** Maximum time from a failure to the next poll. */
  maxPollInterval = 180_000;
  /** True if hidden tabs wait on the server, too. */
  alwaysLongPoll = false;
  /** Decides whether polls wait on the server, in place of the tab's visibility. */
  shouldLongPollCallback: (() => boolean) | undefined = undefined;
  /** Minimum time between polls of the hidden tabs of a browser, all of them together. */
  minHiddenPollInterval = 1_500;
  /** If a stream has not begun after this time, a proxy holds it up. */
  firstChunkTimeout = 3_000;
  /** Number of polls after which a stream is tried again. */
  retryChunkedAfterRequests = 30;
  /** A poll is given up if nothing has come for this time, which has to be longer than the server lets polls wait. */
  pollTimeout = 60_000;
  /** Sends the polls. */
  fetch: (url: string, init: RequestInit) => Promise<Response> = (url, init) => globalThis.fetch(url, init);
}
