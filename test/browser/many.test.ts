import t from 'tap';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { ClientPage, servePages } from '../helpers/pages/client-page.js';
import { publishOn, serveClient } from '../helpers/pages/served-client.js';
import { listen } from '../helpers/server.js';

const browser = new TestBrowser(t);

const idsUpTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1);

t.test('two servers on one database: what one publishes reaches the pages of both', needsBrowser, async (t) => {
  const database = await createDatabase(t);
  const publish = publishOn(database.query);
  const nodes = await Promise.all(
    ['one', 'two'].map(async (name) => {
      const bus = openBus(t, database.url);
      const { url } = await listen(t, { bus }, servePages);
      const page = await ClientPage.open(await browser.openProfile(t), url);
      await page.subscribe('/a', 0);
      await page.subscribe('/ready', -1);
      await page.untilPosition('/ready', 0);
      return { name, bus, page };
    }),
  );

  await Promise.all([
    ...nodes.flatMap(({ name, bus }) => idsUpTo(100).map((n) => bus.publish('/a', `${name} ${n}`))),
    ...idsUpTo(100).map((n) => publish('/a', `sql ${n}`)),
  ]);
  for (const { name, page } of nodes) {
    await page.untilPosition('/a', 300);
    const received = await page.received();
    t.strictSame(
      received.map(({ messageId }) => messageId),
      idsUpTo(300),
      `in order at ${name}`,
    );
    for (const source of ['one', 'two', 'sql']) {
      const count = received.filter(({ data }) => String(data).startsWith(source)).length;
      t.equal(count, 100, `all of ${source} at ${name}`);
    }
  }
  const [first, second] = await Promise.all(nodes.map(({ page }) => page.received()));
  t.strictSame(first, second, 'the same at both');
});

t.test('five tabs of one browser get 200 messages each', needsBrowser, async (t) => {
  const { publish, context, url } = await serveClient(t, browser);
  const pages = await Promise.all(
    idsUpTo(5).map(async (n) => {
      const page = await ClientPage.open(context, url);
      await page.subscribe('/all', -1);
      await page.subscribe(`/tab/${n}`, -1);
      await page.untilPosition(`/tab/${n}`, 0);
      return { n, page };
    }),
  );
  await Promise.all([
    ...idsUpTo(100).map((n) => publish('/all', n)),
    ...pages.flatMap(({ n }) => idsUpTo(100).map((i) => publish(`/tab/${n}`, i))),
  ]);
  for (const { n, page } of pages) {
    await page.untilReceived(200);
    const received = await page.received();
    const idsOf = (channel: string) =>
      received.filter(({ callback }) => callback === channel).map(({ messageId }) => messageId);
    t.strictSame(idsOf('/all'), idsUpTo(100));
    t.strictSame(idsOf(`/tab/${n}`), idsUpTo(100));
    t.equal(received.length, 200);
    t.strictSame(page.complaints, []);
  }
});
