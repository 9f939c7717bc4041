/** Each may also be set later, as a property of the client; it counts from the next request on. Intervals are in ms. */
export class ClientSettings {
  /** Where the plugin is mounted: `/`, `/bus/`, `https://example.org/`. Outside a browser, a whole address. */
  baseUrl = '/';
  /** Added to each poll; those that are undefined or null are left out. */
  headers: Record<string, string | null | undefined> = {};
  /** Whether polls may wait on the server for a message. */
  enableLongPolling = true;
  /** Whether one poll may bring many messages, as they come. */
  enableChunkedEncoding = true;
  /** From the start of a poll that was answered at once to the next one. */
  callbackInterval = 15_000;
  /** The same for a hidden tab and, outside a browser, where long polling is off. */
  backgroundCallbackInterval = 60_000;
  /** From an answer to the next poll, at least. */
  minPollInterval = 100;
  /** From a failure to the next poll, at most. */
  maxPollInterval = 180_000;
  /** Whether hidden tabs wait on the server, too. */
  alwaysLongPoll = false;
  /** Whether polls wait on the server, in place of whether the tab is visible. */
  shouldLongPollCallback: (() => boolean) | undefined = undefined;
  /** Between polls of the hidden tabs of a browser, all of them together. */
  minHiddenPollInterval = 1_500;
  /** A stream that has not begun by then is held up by a proxy. */
  firstChunkTimeout = 3_000;
  /** After how many polls to try a stream again. */
  retryChunkedAfterRequests = 30;
  /** A poll on which nothing has come for so long is given up: longer than the server lets polls wait. */
  pollTimeout = 60_000;
  /** Sends the polls. */
  fetch: (url: string, init: RequestInit) => Promise<Response> = (url, init) => globalThis.fetch(url, init);
}
