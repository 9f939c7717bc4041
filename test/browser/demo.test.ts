import type { FastifyInstance } from 'fastify';
import type { BrowserContext, Page, ViewportSize } from 'playwright-core';
import t, { type Test } from 'tap';
import { createServer } from '../../src/server/create-server.js';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { createDatabase, type TestDatabase } from '../helpers/database.js';
import { type Publish, publishOn } from '../helpers/pages/served-client.js';
import { until } from '../helpers/until.js';

const browser = new TestBrowser(t);

interface Demo {
  url: string;
  context: BrowserContext;
  publish: Publish;
  query: TestDatabase['query'];
  stop(): Promise<void>;
  /** On the same port. */
  startAgain(): Promise<void>;
}

async function openDemo(t: Test): Promise<Demo> {
  const database = await createDatabase(t);
  let app: FastifyInstance;
  const start = async (port: number) => {
    app = await createServer({
      connectionString: database.url,
      schema: 'message_bus',
      demo: { embedded: true },
      logLevel: 'silent',
    });
    return app.listen({ port, host: '127.0.0.1' });
  };
  const url = await start(0);
  t.teardown(() => app.close());
  return {
    url,
    context: await browser.openProfile(t),
    publish: publishOn(database.query),
    query: database.query,
    stop: () => app.close(),
    startAgain: async () => void (await start(Number(new URL(url).port))),
  };
}

/** The chat as someone uses it who sees the page. */
class Visitor {
  /** What a page without fault has none of. */
  readonly complaints: string[] = [];

  private constructor(readonly page: Page) {}

  static async open({ context, url }: Demo, name: string, viewport?: ViewportSize): Promise<Visitor> {
    const visitor = new Visitor(await context.newPage());
    const { page, complaints } = visitor;
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(`${url}/`)) complaints.push(`asked for ${request.url()}`);
    });
    page.on('response', (response) => {
      if (response.status() >= 400) complaints.push(`${response.url()} answers ${response.status()}`);
    });
    if (viewport) await page.setViewportSize(viewport);
    await page.goto(url);
    await page.getByLabel('Name').fill(name);
    await visitor.untilStatus('Connected');
    return visitor;
  }

  async say(text: string): Promise<void> {
    await this.page.getByLabel('Message', { exact: true }).fill(text);
    await this.page.getByRole('button', { name: 'Send' }).click();
  }

  async untilSees(text: string): Promise<void> {
    await this.page.getByRole('listitem').filter({ hasText: text }).first().waitFor();
  }

  async untilStatus(text: string): Promise<void> {
    await this.page.getByRole('status').filter({ hasText: text }).waitFor();
  }

  /** Who said what, from the top. */
  async messages(): Promise<string[]> {
    const items = await this.page.getByRole('listitem').all();
    return Promise.all(
      items.map(async (item) => {
        const [name, text] = [item.locator('.name'), item.locator('.text')];
        return `${await name.textContent()}: ${await text.textContent()}`;
      }),
    );
  }

  /** The rows of the table, cells joined. */
  async rows(): Promise<string[]> {
    const rows = await this.page.locator('tbody tr').all();
    return Promise.all(rows.map(async (row) => (await row.locator('td').allTextContents()).join(' ')));
  }

  async untilRows(wanted: string[]): Promise<void> {
    await until(async () => (await this.rows()).join('|') === wanted.join('|'), `the table is ${wanted.join('; ')}`);
  }

  /** Whether neither the page nor the list of messages can be scrolled sideways. */
  async fitsWidth(): Promise<boolean> {
    return this.page.evaluate<boolean>(
      `[document.documentElement, document.querySelector('[role=log]')]
        .every(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)`,
    );
  }
}

t.test('two visitors chat, and SQL has its say', needsBrowser, async (t) => {
  const demo = await openDemo(t);
  const ada = await Visitor.open(demo, 'Ada');
  await ada.say('is anyone here?');
  await ada.untilSees('is anyone here?');
  const bob = await Visitor.open(demo, 'Bob');
  await bob.untilSees('is anyone here?');
  await bob.say('I am, ümläut 👋');
  await ada.untilSees('I am');
  await demo.publish('/chat', { from: 'psql', text: 'so am I' });
  const conversation = ['Ada: is anyone here?', 'Bob: I am, ümläut 👋', 'psql: so am I'];
  for (const visitor of [ada, bob]) {
    await visitor.untilSees('so am I');
    t.strictSame(await visitor.messages(), conversation);
    t.strictSame(visitor.complaints, []);
  }
  t.equal(await ada.page.getByLabel('Message', { exact: true }).inputValue(), '', 'what was sent leaves the field');
});

t.test('whatever is published is shown as text', needsBrowser, async (t) => {
  const demo = await openDemo(t);
  const visitor = await Visitor.open(demo, 'Ada');
  const hostile = [
    '<img src="x" onerror="window.stolen = true">',
    '</script><script>window.stolen = true</script>',
    '<a href="javascript:window.stolen = true">link</a>',
    '&lt;b&gt; "quoted" \r\n|\r\n',
  ];
  for (const text of hostile) await demo.publish('/chat', { from: text, text });
  await visitor.say(hostile[0] ?? '');
  const odd = [
    null,
    0,
    [],
    {},
    '',
    { from: 7, text: { a: 1 } },
    { from: 'x'.repeat(500), at: 'yesterday', text: 'end' },
  ];
  for (const data of odd) await demo.publish('/chat', data);
  await visitor.untilSees('end');

  const messages = await visitor.messages();
  t.strictSame(
    messages.filter((message) => hostile.some((text) => message.endsWith(`: ${text}`))).length,
    hostile.length + 1,
    'letter by letter',
  );
  t.equal(messages.length, hostile.length + 1 + odd.length);
  const list = visitor.page.getByRole('log');
  t.equal(await list.locator('img, script, a, b, [onerror], [href], [src]').count(), 0);
  t.equal(await visitor.page.evaluate('window.stolen'), undefined);
  t.strictSame(visitor.complaints, []);
});

t.test('on a phone, nothing lies beside the screen', needsBrowser, async (t) => {
  const demo = await openDemo(t);
  const visitor = await Visitor.open(demo, 'Ada', { width: 360, height: 640 });
  t.ok(await visitor.fitsWidth(), 'empty');
  await demo.publish('/chat', { from: 'W'.repeat(40), text: 'W'.repeat(2_000) });
  await demo.publish('/chat', { ['deeply'.repeat(40)]: { nested: ['x'.repeat(500)] } });
  await visitor.say('the last one');
  await visitor.untilSees('the last one');
  t.ok(await visitor.fitsWidth(), 'with words that do not break');
  await visitor.page.getByText('Publish from elsewhere').click();
  await visitor.page.getByRole('heading', { name: 'SQL' }).waitFor();
  t.ok(await visitor.fitsWidth(), 'with the commands open');
  for (const name of ['Name', 'Message']) {
    const box = await visitor.page.getByLabel(name, { exact: true }).boundingBox();
    t.ok(box && box.x >= 0 && box.x + box.width <= 360 && box.width > 100, `the field ${name} is in view`);
  }
  t.strictSame(visitor.complaints, []);
});

t.test('a restart of the server is survived', needsBrowser, async (t) => {
  const demo = await openDemo(t);
  const visitor = await Visitor.open(demo, 'Ada');
  await visitor.say('before');
  await visitor.untilSees('before');

  await demo.stop();
  await visitor.untilStatus('Reconnecting');
  await demo.publish('/chat', { from: 'psql', text: 'meanwhile' });
  await visitor.say('too early');
  await visitor.page.getByRole('alert').filter({ hasText: 'cannot be reached' }).waitFor();

  await demo.startAgain();
  await visitor.untilSees('meanwhile');
  await visitor.untilStatus('Connected');
  await visitor.page.getByRole('button', { name: 'Send' }).click();
  await visitor.untilSees('too early');
  t.strictSame(await visitor.messages(), ['Ada: before', 'psql: meanwhile', 'Ada: too early']);
  await until(async () => !(await visitor.page.getByRole('alert').isVisible()), 'the problem is gone');
});

t.test('a table edited by SQL changes on the page', needsBrowser, async (t) => {
  const demo = await openDemo(t);
  const visitor = await Visitor.open(demo, 'Ada');
  await visitor.untilRows(['1 Paper new', '2 Pencils new', '3 Ink new']);
  // As the page says.
  const command = await visitor.page.locator('#edit').textContent();
  const sql = /-c "([^"]+)"/.exec(command ?? '')?.[1] ?? '';
  t.match(sql, /update demo_orders/);
  await demo.query(sql);
  await visitor.untilRows(['1 Paper paid', '2 Pencils new', '3 Ink new']);
  await visitor.page.getByText('Last change: update of order 1').waitFor();
  await demo.query(
    `insert into demo_orders (item, status) values ('<img src=x onerror="window.stolen = true">', 'new')`,
  );
  await demo.query(`delete from demo_orders where id = 2; update demo_orders set status = 'sent' where id = 3`);
  const now = ['1 Paper paid', '3 Ink sent', '4 <img src=x onerror="window.stolen = true"> new'];
  await visitor.untilRows(now);
  t.equal(await visitor.page.locator('table img').count(), 0);

  const other = await Visitor.open(demo, 'Bob', { width: 360, height: 640 });
  await other.untilRows(now);
  t.ok(await other.fitsWidth(), 'on a phone, too');
  await demo.query(`update demo_orders set item = repeat('W', 500) where id = 1`);
  await until(async () => (await other.rows())[0]?.includes('WWW') ?? false, 'the phone is told');
  t.ok(await other.fitsWidth(), 'with words that do not break');
  await demo.stop();
  await visitor.untilStatus('Reconnecting');
  await demo.query('delete from demo_orders where id <> 3');
  await demo.startAgain();
  await visitor.untilRows(['3 Ink sent']);
  t.strictSame(
    other.complaints.filter((complaint) => !/ERR_CONNECTION|Failed to load/.test(complaint)),
    [],
  );
});
