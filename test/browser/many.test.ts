import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { type ClientName, ClientPage, clientNames, servePages } from '../helpers/pages/client-page.js';
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
      const context = await browser.openProfile(t);
      const open = async (client: ClientName) => {
        const page = await ClientPage.open(context, url, { client });
        await page.subscribe('/a', 0);
        await page.subscribe('/ready', -1);
        await page.untilPosition('/ready', 0);
        return { page, where: `${client} at ${name}` };
      };
      return { name, bus, pages: await Promise.all(clientNames.map(open)) };
    }),
  );
  const pages = nodes.flatMap((node) => node.pages);

  await Promise.all([
    ...nodes.flatMap(({ name, bus }) => idsUpTo(100).map((n) => bus.publish('/a', `${name} ${n}`))),
    ...idsUpTo(100).map((n) => publish('/a', `sql ${n}`)),
  ]);
  for (const { page, where } of pages) {
    await page.untilPosition('/a', 300);
    const received = await page.received();
    t.strictSame(
      received.map(({ messageId }) => messageId),
      idsUpTo(300),
      `in order by ${where}`,
    );
    for (const source of ['one', 'two', 'sql']) {
      const count = received.filter(({ data }) => String(data).startsWith(source)).length;
      t.equal(count, 100, `all of ${source} by ${where}`);
    }
  }
  const [first, ...others] = await Promise.all(pages.map(({ page }) => page.received()));
  for (const each of others) t.strictSame(each, first, 'the same at both');
});

for (const client of clientNames) {
  t.test(`five tabs of ${client} that open while messages are published get 200 each`, needsBrowser, async (t) => {
    const { publish, context, url } = await serveClient(t, browser);
    const publishAll = async (channel: string) => {
      for (const n of idsUpTo(100)) {
        await publish(channel, n);
        await delay(Math.random() * 40);
      }
    };
    const tabs = idsUpTo(5);
    const publishing = Promise.all([publishAll('/all'), ...tabs.map((n) => publishAll(`/tab/${n}`))]);
    const open = async (n: number) => {
      // Some take a message with each poll: a new seam between the backlog and what comes live each time.
      const settings = { enableChunkedEncoding: n % 2 === 0, minPollInterval: 1 };
      const page = await ClientPage.open(context, url, { client, settings });
      await page.subscribe('/all', 0);
      await page.subscribe(`/tab/${n}`, 0);
      return page;
    };
    const pages = await Promise.all(tabs.map(open));
    await publishing;

    for (const [i, page] of pages.entries()) {
      await page.untilReceived(200);
      const received = await page.received();
      const idsOf = (channel: string) =>
        received.filter(({ callback }) => callback === channel).map(({ messageId }) => messageId);
      t.strictSame(idsOf('/all'), idsUpTo(100));
      t.strictSame(idsOf(`/tab/${i + 1}`), idsUpTo(100));
      t.equal(received.length, 200);
      t.strictSame(page.complaints, []);
    }
  });
}
