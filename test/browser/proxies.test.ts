import t from 'tap';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { ClientPage, clientNames } from '../helpers/pages/client-page.js';
import { serveClient } from '../helpers/pages/served-client.js';
import { startProxy, type Treatment } from '../helpers/proxy.js';
import { until } from '../helpers/until.js';

const browser = new TestBrowser(t);

for (const client of clientNames) {
  t.test(`${client}: where a proxy buffers, polls are not streamed for a while`, needsBrowser, async (t) => {
    const { publish, context, url } = await serveClient(t, browser);
    const proxy = await startProxy(t, url);
    let treatment: Treatment = 'buffer';
    proxy.treat = () => treatment;
    const settings = { firstChunkTimeout: 200, retryChunkedAfterRequests: 4, minPollInterval: 10 };
    const page = await ClientPage.open(context, proxy.url, { client, settings });
    await page.subscribe('/a', 0);
    const isStreamed = () => page.polls.map((poll) => poll.headers()['dont-chunk'] === undefined);
    await until(() => page.polls.length === 2, 'the stream was given up');
    // Four whole answers, then it tries again.
    for (let n = 1; n <= 4; n++) {
      await publish('/a', n);
      await page.untilReceived(n);
    }
    await until(() => page.polls.length === 7, 'it gave up again');
    t.strictSame(isStreamed(), [true, false, false, false, false, true, false]);

    treatment = 'pass';
    for (let n = 5; n <= 8; n++) {
      await publish('/a', n);
      await page.untilReceived(n);
    }
    await until(() => page.polls.length === 11, 'it tries once more');
    for (let n = 9; n <= 12; n++) {
      await publish('/a', n);
      await page.untilReceived(n);
    }
    t.equal(page.polls.length, 11, 'on one stream');
    t.strictSame(isStreamed().slice(7), [false, false, false, true]);
    t.strictSame(
      (await page.received()).map(({ messageId }) => messageId),
      Array.from({ length: 12 }, (_, i) => i + 1),
    );
  });
}

t.test('postbus: a proxy that breaks streams off in the middle of a frame', needsBrowser, async (t) => {
  const { publish, context, url } = await serveClient(t, browser);
  const proxy = await startProxy(t, url);
  let breakAfter = 0;
  const page = await ClientPage.open(context, proxy.url, { client: 'postbus', settings: { maxPollInterval: 20 } });
  proxy.treat = () => {
    breakAfter += 97;
    return { breakAfter };
  };
  await page.subscribe('/a', 0);
  for (let n = 1; n <= 20; n++) await publish('/a', `${n} Grüße, 世界`);
  await page.untilPosition('/a', 20);
  t.strictSame(
    (await page.received()).map(({ data }) => data),
    Array.from({ length: 20 }, (_, i) => `${i + 1} Grüße, 世界`),
  );
  t.ok(page.polls.length > 2, 'it broke off');
});

t.test('postbus: a page polls at once when the network is back', needsBrowser, async (t) => {
  const { publish, context, url } = await serveClient(t, browser);
  const proxy = await startProxy(t, url);
  const never = 3_600_000;
  const settings = { pollTimeout: never, firstChunkTimeout: never };
  const page = await ClientPage.open(context, proxy.url, { client: 'postbus', settings });
  // As after a laptop slept: nothing tells that the connection is dead.
  proxy.treat = () => 'swallow';
  await page.subscribe('/a', 0);
  await until(() => proxy.requests > 0, 'it polls');
  proxy.treat = () => 'pass';
  await context.setOffline(true);
  await context.setOffline(false);
  await publish('/a', 1);
  await page.untilReceived(1);
});
