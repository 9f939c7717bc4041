import t from 'tap';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { ClientPage, clientNames } from '../helpers/pages/client-page.js';
import { serveClient } from '../helpers/pages/served-client.js';
import { until } from '../helpers/until.js';

const browser = new TestBrowser(t);
const never = 3_600_000;
const queriesOf = (page: ClientPage) => page.polls.map((poll) => new URL(poll.url()).search);

for (const client of clientNames) {
  t.test(`${client}: a hidden tab does not wait, and catches up when it is shown`, needsBrowser, async (t) => {
    const { publish, context, url } = await serveClient(t, browser);
    const settings = { backgroundCallbackInterval: never, minHiddenPollInterval: 0 };
    const page = await ClientPage.open(context, url, { client, settings });
    await page.hide();
    await page.subscribe('/a', -1);
    await page.untilPosition('/a', 0);
    await publish('/a', 1);
    await publish('/a', 2);
    t.strictSame(queriesOf(page), ['?dlp=t'], 'nothing waits');
    t.strictSame(await page.received(), []);
    await page.show();
    await page.untilReceived(2);
    await publish('/a', 3);
    await page.untilReceived(3);
    t.strictSame(queriesOf(page), ['?dlp=t', ''], 'on one stream');
    // A stream that is under way goes on.
    await page.hide();
    await publish('/a', 4);
    await page.untilReceived(4);
    t.strictSame(
      (await page.received()).map(({ messageId }) => messageId),
      [1, 2, 3, 4],
    );
  });

  t.test(
    `${client}: hidden tabs poll every backgroundCallbackInterval, or wait if they are to`,
    needsBrowser,
    async (t) => {
      const { publish, context, url } = await serveClient(t, browser);
      const open = async (settings: object) => {
        const page = await ClientPage.open(context, url, {
          client,
          settings: { callbackInterval: never, backgroundCallbackInterval: 100, minHiddenPollInterval: 0, ...settings },
        });
        await page.hide();
        await page.subscribe('/a', -1);
        await page.untilPosition('/a', 0);
        return page;
      };
      const [polling, waiting] = await Promise.all([open({}), open({ alwaysLongPoll: true })]);
      await until(() => polling.polls.length >= 4, 'it polls');
      await publish('/a', 1);
      await Promise.all([polling.untilReceived(1), waiting.untilReceived(1)]);
      t.strictSame([...new Set(queriesOf(polling))], ['?dlp=t']);
      t.strictSame(queriesOf(waiting), ['']);
    },
  );

  t.test(`${client}: shouldLongPollCallback decides in place of the tab`, needsBrowser, async (t) => {
    const { publish, context, url } = await serveClient(t, browser);
    const page = await ClientPage.open(context, url, { client, settings: { backgroundCallbackInterval: 100 } });
    await page.page.evaluate(() => {
      Object.assign(globalThis, { mayWait: false });
      Reflect.set(Reflect.get(globalThis, 'MessageBus'), 'shouldLongPollCallback', () =>
        Reflect.get(globalThis, 'mayWait'),
      );
    });
    await page.subscribe('/a', -1);
    await page.untilPosition('/a', 0);
    await until(() => page.polls.length >= 3, 'it polls');
    t.strictSame([...new Set(queriesOf(page))], ['?dlp=t'], 'a visible tab that is not to wait');
    await page.page.evaluate(() => Reflect.set(globalThis, 'mayWait', true));
    await until(() => queriesOf(page).at(-1) === '', 'it waits');
    await page.hide();
    await publish('/a', 1);
    await page.untilReceived(1);
  });
}

t.test('hidden tabs of both clients share minHiddenPollInterval', needsBrowser, async (t) => {
  const { context, url } = await serveClient(t, browser);
  const minHiddenPollInterval = 700;
  const tabs = await Promise.all(
    [...clientNames, ...clientNames].map(async (client) => {
      const settings = { backgroundCallbackInterval: 1, minPollInterval: 1, minHiddenPollInterval };
      const page = await ClientPage.open(context, url, { client, settings });
      await page.hide();
      return page;
    }),
  );
  for (const page of tabs) await page.subscribe('/a', 0);
  const times = () => tabs.flatMap((page) => page.pollTimes).sort((a, b) => a - b);
  const wanted = 6;
  await until(() => times().length >= wanted, 'they have polled');
  const [first = 0, ...rest] = times().slice(0, wanted);
  // Two may look at the same moment; on their own, the four would have polled hundreds of times.
  t.ok((rest.at(-1) ?? 0) - first > (minHiddenPollInterval * (wanted - 1)) / 2);
});

t.test('postbus: a tab that is shown during a poll does not wait for the next one', needsBrowser, async (t) => {
  let letGo = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const { publish, context, url } = await serveClient(t, browser, {}, (app) => {
    app.addHook('onRequest', async (request) => {
      if (request.url.endsWith('?dlp=t')) await held;
    });
  });
  const settings = { callbackInterval: never, backgroundCallbackInterval: never, minHiddenPollInterval: 0 };
  const page = await ClientPage.open(context, url, { client: 'postbus', settings });
  await page.hide();
  await page.subscribe('/a', 0);
  await until(() => page.polls.length === 1, 'it polls');
  await page.show();
  letGo();
  await until(() => page.polls.length === 2, 'it polls again');
  await publish('/a', 1);
  await page.untilReceived(1);
});
