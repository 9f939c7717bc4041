import fastifyCors from '@fastify/cors';
import t from 'tap';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { ClientPage, clientNames } from '../helpers/pages/client-page.js';
import { serveClient } from '../helpers/pages/served-client.js';

const browser = new TestBrowser(t);

/** As in docs/fastify.md. */
const cors = (origin: string) => ({
  'access-control-allow-origin': origin,
  'access-control-allow-headers': 'content-type, x-silence-logger, dont-chunk',
  'access-control-max-age': '7200',
});

for (const enableChunkedEncoding of [true, false]) {
  const transport = enableChunkedEncoding ? 'streams' : 'long polls';
  for (const client of clientNames) {
    t.test(`${client}: a page of another origin that is let in, by ${transport}`, needsBrowser, async (t) => {
      const pages = await serveClient(t, browser);
      const bus = await serveClient(t, browser, { extraResponseHeadersLookup: () => cors(pages.url) });
      await bus.publish('/a', 'from the backlog');
      const settings = { baseUrl: `${bus.url}/`, enableChunkedEncoding };
      const page = await ClientPage.open(pages.context, pages.url, { client, settings });
      await page.subscribe('/a', 0);
      await page.untilReceived(1);
      await bus.publish('/a', 'live');
      await page.untilReceived(2);
      t.strictSame(
        (await page.received()).map(({ data }) => data),
        ['from the backlog', 'live'],
      );
      t.strictSame(page.complaints, []);
    });
  }
}

for (const client of clientNames) {
  t.test(`${client}: let in by @fastify/cors, beside the plugin under a prefix`, needsBrowser, async (t) => {
    const pages = await serveClient(t, browser);
    const bus = await serveClient(t, browser, { prefix: '/bus' }, (app) => {
      app.register(fastifyCors, { origin: pages.url, credentials: true });
    });
    await bus.publish('/a', 'from the backlog');
    const page = await ClientPage.open(pages.context, pages.url, { client, settings: { baseUrl: `${bus.url}/bus/` } });
    await page.subscribe('/a', 0);
    await page.untilReceived(1);
    await bus.publish('/a', 'live');
    await page.untilReceived(2);
    t.strictSame(page.complaints, []);
  });
}

t.test('what a page of another origin can read', needsBrowser, async (t) => {
  const pages = await serveClient(t, browser);
  const open = await serveClient(t, browser, { extraResponseHeadersLookup: () => cors(pages.url) });
  const closed = await serveClient(t, browser);
  const other = await serveClient(t, browser, { extraResponseHeadersLookup: () => cors('https://example.org') });
  const { page } = await ClientPage.open(pages.context, pages.url, { client: 'original' });
  const ask = (base: string, body: string) =>
    page.evaluate(
      async ([url, channels]) => {
        const headers = { 'content-type': 'application/json', 'x-silence-logger': 'true' };
        try {
          const response = await fetch(`${url}/message-bus/x/poll?dlp=t`, { method: 'POST', headers, body: channels });
          const answer: { code?: string } = Object(await response.json());
          return `${response.status} ${answer.code ?? 'messages'}`;
        } catch (error) {
          return String(error);
        }
      },
      [base, body] as const,
    );
  t.equal(await ask(open.url, '{"/a":0}'), '200 messages');
  t.equal(await ask(open.url, '{"__a":0}'), '400 POSTBUS_BAD_CHANNEL', 'errors too');
  t.match(await ask(closed.url, '{"/a":0}'), 'TypeError');
  t.match(await ask(other.url, '{"/a":0}'), 'TypeError');
});
