import { MessageBusClient } from '../../../src/client/index.js';
import { identify } from '../accounting/publication.js';
import { Reader } from '../accounting/reader.js';
import { type ClientOptions, headersOf } from './raw-client.js';

/** `postbus/client`, as pages use it. */
export class OurClient {
  readonly reader: Reader;
  readonly #client: MessageBusClient;

  constructor({ url, viewer, siteId, places }: ClientOptions) {
    this.reader = new Reader({ name: `client ${viewer.clientId}`, viewer, places });
    this.#client = new MessageBusClient({
      baseUrl: `${url}/`,
      headers: headersOf(viewer, siteId),
      minPollInterval: 20,
      maxPollInterval: 500,
      pollTimeout: 5_000,
      fetch: async (address, init) => {
        try {
          return await fetch(address, init);
        } catch (error) {
          this.reader.reconnects++;
          throw error;
        }
      },
    });
    this.#client.clientId = viewer.clientId;
    for (const { channel, siteId: site } of places) {
      this.#client.subscribe(
        channel,
        (data, globalId, messageId) => {
          const at = Date.now();
          this.reader.receive({ channel, siteId: site, messageId, globalId, ...identify(data), at });
        },
        0,
      );
    }
  }

  async stop(): Promise<void> {
    this.#client.stop();
  }
}
