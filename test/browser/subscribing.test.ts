import t from 'tap';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { ClientPage, clientNames } from '../helpers/pages/client-page.js';
import { serveClient } from '../helpers/pages/served-client.js';

const browser = new TestBrowser(t);

// What is changed on a page counts at once, not with the next regular poll.
const never = 3_600_000;

for (const client of clientNames) {
  t.test(`${client}: a page begins where it asks to`, needsBrowser, async (t) => {
    const { publish, context, url } = await serveClient(t, browser);
    for (const n of [1, 2, 3, 4]) await publish('/a', `old ${n}`);
    const beginnings = {
      'all there is': 0,
      'from now on': -1,
      'the last two': -3,
      'after an id': 3,
      'by default': undefined,
    };
    const pages = await Promise.all(
      Object.entries(beginnings).map(async ([name, lastId]) => {
        const page = await ClientPage.open(context, url, { client });
        await page.subscribe('/a', lastId);
        await page.untilPosition('/a', 4);
        return [name, page] as const;
      }),
    );
    await publish('/a', 'new 5');
    await publish('/a', 'new 6');

    const received: Record<string, unknown[]> = {};
    for (const [name, page] of pages) {
      await page.untilPosition('/a', 6);
      received[name] = (await page.received()).map(({ data }) => data);
      t.strictSame(page.complaints, []);
    }
    t.strictSame(received, {
      'all there is': ['old 1', 'old 2', 'old 3', 'old 4', 'new 5', 'new 6'],
      'from now on': ['new 5', 'new 6'],
      'the last two': ['old 3', 'old 4', 'new 5', 'new 6'],
      'after an id': ['old 4', 'new 5', 'new 6'],
      'by default': ['new 5', 'new 6'],
    });
  });

  t.test(`${client}: a page that asks for more than there is gets what comes`, needsBrowser, async (t) => {
    const { publish, context, url } = await serveClient(t, browser);
    await publish('/a', 1);
    const page = await ClientPage.open(context, url, { client });
    await page.subscribe('/a', 1_000);
    await page.subscribe('/never-published', 5);
    await page.untilPosition('/a', 1);
    await page.untilPosition('/never-published', 0);
    await publish('/a', 2);
    await publish('/never-published', 'first');
    await page.untilReceived(2);
    t.strictSame((await page.received()).map(({ data }) => data).sort(), [2, 'first']);
  });

  t.test(`${client}: a callback is given the data, the global id and the message id`, needsBrowser, async (t) => {
    const { publish, context, url } = await serveClient(t, browser);
    await publish('/other', 'one global id further');
    const page = await ClientPage.open(context, url, { client });
    await page.subscribe('/a', 0);
    const data = { text: 'x', number: 1.5, list: [true, null], nothing: null };
    for (const each of [data, 'text', 0, false, null, []]) await publish('/a', each);
    await page.untilReceived(6);
    t.strictSame(
      await page.received(),
      [data, 'text', 0, false, null, []].map((each, i) => ({
        callback: '/a',
        data: each,
        globalId: 2 + i,
        messageId: 1 + i,
      })),
    );
  });

  t.test(`${client}: several channels and several callbacks on one page`, needsBrowser, async (t) => {
    const { publish, context, url } = await serveClient(t, browser);
    const page = await ClientPage.open(context, url, { client, settings: { callbackInterval: never } });
    await page.subscribe('/early', -1);
    await page.untilPosition('/early', 0);
    await page.subscribe('/a', 0, 'first');
    await page.subscribe('/a', 0, 'second');
    await page.subscribe('/b', 0, 'third');
    await page.subscribe('/ä/ö?&=%25+ x', 0, 'odd name');
    await publish('/a', 1);
    await publish('/not-subscribed', 2);
    await publish('/b', 3);
    await publish('/ä/ö?&=%25+ x', 4);
    await page.untilReceived(4);
    t.strictSame((await page.received()).map(({ callback, data }) => `${callback}: ${data}`).sort(), [
      'first: 1',
      'odd name: 4',
      'second: 1',
      'third: 3',
    ]);
  });

  t.test(`${client}: unsubscribing`, needsBrowser, async (t) => {
    const { publish, context, url } = await serveClient(t, browser);
    const page = await ClientPage.open(context, url, { client, settings: { callbackInterval: never } });
    const all = ['/room/1', '/room/2', '/rooms', '/other'];
    for (const channel of all) await page.subscribe(channel, 0);
    await page.subscribe('/other', 0, 'a second callback');

    // Channels come in no particular order. What must not come would be in the way of a later round, if not of this one.
    let before = 0;
    const receives = async (expected: string[]) => {
      for (const channel of all) await publish(channel, channel);
      await page.untilReceived(before + expected.length);
      const received = (await page.received()).slice(before);
      before += received.length;
      t.strictSame(received.map(({ callback }) => callback).sort(), expected);
    };
    await receives(['/other', '/room/1', '/room/2', '/rooms', 'a second callback']);
    t.equal(await page.unsubscribe('/room/*'), true);
    await receives(['/other', '/rooms', 'a second callback']);
    t.equal(await page.unsubscribe('/other', '/other'), true);
    await receives(['/rooms', 'a second callback']);
    t.equal(await page.unsubscribe('/rooms'), true);
    t.equal(await page.unsubscribe('/nowhere'), false);
    await receives(['a second callback']);
    await receives(['a second callback']);

    t.match(page.polls.at(-1)?.postData() ?? '', /^%2Fother=\d+&__seq=\d+$/, 'the rest is not asked for any more');
  });

  t.test(`${client}: a page that pauses gets the messages when it resumes`, needsBrowser, async (t) => {
    const { publish, context, url } = await serveClient(t, browser);
    const page = await ClientPage.open(context, url, { client });
    await page.subscribe('/a', 0);
    await publish('/a', 1);
    await page.untilReceived(1);
    await page.pause();
    await publish('/a', 2);
    await publish('/a', 3);
    // Another page on the same stream of events shows that they have been sent.
    const other = await ClientPage.open(context, url, { client });
    await other.subscribe('/a', 0);
    await other.untilReceived(3);
    t.equal((await page.received()).length, 1);
    await page.resume();
    await publish('/a', 4);
    await page.untilReceived(4);
    t.strictSame(
      (await page.received()).map(({ data }) => data),
      [1, 2, 3, 4],
    );
  });
}
