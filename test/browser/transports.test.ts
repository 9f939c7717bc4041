import t from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { ClientPage, clientNames, pageNames, type Settings } from '../helpers/pages/client-page.js';
import { serveClient } from '../helpers/pages/served-client.js';
import { until } from '../helpers/until.js';

const browser = new TestBrowser(t);

interface Transport {
  settings: Settings;
  /** What tells it from the others. */
  answer: { query: string; contentType: string; status: number };
  answersAtOnce?: boolean;
}

const json = 'application/json; charset=utf-8';
const text = 'text/plain; charset=utf-8';
const transports: Record<string, Transport> = {
  streaming: { settings: {}, answer: { query: '', contentType: text, status: 200 } },
  'long polling': {
    settings: { enableChunkedEncoding: false },
    answer: { query: '', contentType: json, status: 200 },
  },
  polling: {
    settings: { enableLongPolling: false },
    answer: { query: '?dlp=t', contentType: json, status: 200 },
    answersAtOnce: true,
  },
};

const awkward = [
  'Grüße, 世界, עולם, 👩‍👩‍👧‍👦',
  '</script><script>throw new Error("run")</script><!--',
  '|',
  '\r\n|\r\n',
  '\r\n||\r\n',
  'line\u2028and\u2029paragraph, \t tab, \u0001, "quotes", back\\slash, \\u0041, &amp; %20 +',
  { '\r\n|\r\n': ['\r\n|\r\n', { '': null }], __proto__key: 1, channel: '/__status', message_id: -1 },
];

// The pages with an adapter for the original work with ours as they are.
const kinds = clientNames.flatMap((client) => pageNames.map((page) => ({ client, page })));
// Which of them ours is on matters to no transport.
const fewerKinds = kinds.filter(({ client, page }) => client === 'original' || page === 'client.html');

for (const [transport, { settings, answer, answersAtOnce }] of Object.entries(transports)) {
  t.test(transport, needsBrowser, async (t) => {
    const { publish, context, url } = await serveClient(t, browser);
    const pages = await Promise.all(
      (transport === 'streaming' ? kinds : fewerKinds).map(async (kind) => {
        const page = await ClientPage.open(context, url, { ...kind, settings: { callbackInterval: 100, ...settings } });
        await page.subscribe('/a', -1);
        await page.untilPosition('/a', 0);
        if (answersAtOnce) await until(() => page.answers.length >= 3, 'polls were answered without news');
        return { name: `${kind.client} on ${kind.page}`, page };
      }),
    );

    // One by one, so that each is sent live.
    for (const [i, data] of awkward.entries()) {
      await publish('/a', data);
      await Promise.all(pages.map(({ page }) => page.untilReceived(i + 1)));
    }
    const large = [7_999, 8_000, 100_000, 1_000_000].map(textOfJsonSize);
    for (const each of large) await publish('/a', each);

    for (const { name, page } of pages) {
      await page.untilReceived(awkward.length + large.length);
      const data = (await page.received()).map((each) => each.data);
      t.strictSame(data.slice(0, awkward.length), awkward, `whatever the text, by ${name}`);
      // Not compared as a whole: the difference would be a megabyte to read.
      const isSame = data.slice(awkward.length).map((each, i) => each === large[i]);
      t.strictSame(
        isSame,
        large.map(() => true),
        `whatever the size, by ${name}`,
      );
      for (const each of page.answers) t.strictSame(each, answer);
      if (transport === 'streaming') t.equal(page.answers.length, 1, 'all on one request');
      else t.ok(page.answers.length > awkward.length);
      t.strictSame(page.complaints, []);
    }
  });
}

/** Of two-byte characters, for some to be cut in two by the network. */
function textOfJsonSize(bytes: number): string {
  const text = 'x'.repeat(bytes % 2) + 'ü'.repeat(Math.floor(bytes / 2) - 1);
  if (Buffer.byteLength(JSON.stringify(text)) !== bytes) throw new Error(`not of ${bytes} bytes`);
  return text;
}

for (const client of clientNames) {
  t.test(
    `${client}: a page that hangs does not fill the server, and gets all when it goes on`,
    needsBrowser,
    async (t) => {
      let letGo = () => {};
      const held = new Promise<void>((resolve) => {
        letGo = resolve;
      });
      const { bus, database, context, url } = await serveClient(t, browser, {}, (app) => {
        app.get('/held', () => held.then(() => 'go on'));
      });
      const page = await ClientPage.open(context, url, {
        client,
        settings: { callbackInterval: 100, minPollInterval: 10 },
      });
      await page.subscribe('/a', -1);
      await page.untilPosition('/a', 0);

      // A synchronous request stops all scripts of the page, and its reading with them.
      const hanging = page.hangOn('/held');
      // Far more than the buffers on the way take in.
      const large = `select message_bus.publish('/a', to_jsonb(n || repeat('x', 1000000))) from generate_series($1::int, $2) n`;
      for (let n = 1; n <= 40; n += 4) await database.query(large, [n, n + 3]);
      await until(() => internalsOf(bus).dispatcher.counts.cursors === 0, 'the page was cut off');
      letGo();
      await hanging;

      await page.untilPosition('/a', 40);
      t.strictSame(
        (await page.received()).map(({ data }) => Number.parseInt(String(data), 10)),
        Array.from({ length: 40 }, (_, i) => i + 1),
      );
    },
  );
}
