import t, { type Test } from 'tap';
import type { Ajax, AjaxOptions } from '../../src/client/page/page.js';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { ClientPage, type Opening } from '../helpers/pages/client-page.js';
import { serveClient } from '../helpers/pages/served-client.js';
import { until } from '../helpers/until.js';

const browser = new TestBrowser(t);

// In the page.
declare const MessageBus: {
  ajax: Ajax | undefined;
  longPoll: { abort(): void } | null;
  onVisibilityChange(): void;
  nonsense?: unknown;
};
declare const jQuery: { ajax: Ajax; ajaxSetup(settings: object): void };
declare const $: (target: unknown) => { on(event: string, call: () => void): void };
declare const document: unknown;
declare const calls: string[];

async function open(t: Test, opening: Omit<Opening, 'client'> = {}) {
  let limited = 0;
  const served = await serveClient(t, browser, {}, (app) => {
    app.addHook('onRequest', async (request, reply) => {
      if (request.method === 'POST' && limited-- > 0)
        return reply.code(429).header('retry-after', '1').send('too many');
    });
  });
  const { context, url } = served;
  const page = await ClientPage.open(context, url, { client: 'postbus', page: 'jquery.html', ...opening });
  const warnings: string[] = [];
  page.page.on('console', (message) => {
    if (message.type() === 'warning') warnings.push(message.text());
  });
  const limit = (count: number) => {
    limited = count;
  };
  return { ...served, page, warnings, limit };
}

const modes = {
  streaming: {},
  'long polling': { enableChunkedEncoding: false },
  polling: { enableLongPolling: false, callbackInterval: 100 },
};

for (const [mode, settings] of Object.entries(modes)) {
  t.test(
    `${mode}: jQuery sends the polls if the page asks for it, with its setup and its events`,
    needsBrowser,
    async (t) => {
      const { publish, page, warnings } = await open(t, { settings });
      await page.page.evaluate(() => {
        Object.assign(globalThis, { calls: [] });
        jQuery.ajaxSetup({ headers: { 'X-CSRF-Token': 'secret' } });
        $(document).on('ajaxComplete', () => calls.push('ajaxComplete'));
        MessageBus.ajax = jQuery.ajax;
      });
      await page.subscribe('/a', -1);
      await page.untilPosition('/a', 0);
      for (let n = 1; n <= 3; n++) {
        await publish('/a', { n, text: 'Grüße 👩‍🚀' });
        await page.untilPosition('/a', n);
      }
      t.strictSame(
        (await page.received()).map(({ data }) => data),
        [1, 2, 3].map((n) => ({ n, text: 'Grüße 👩‍🚀' })),
      );
      for (const poll of page.polls) {
        t.match(await poll.allHeaders(), { 'x-csrf-token': 'secret', 'x-silence-logger': 'true' });
      }
      if (mode === 'streaming') t.equal(page.polls.length, 1, 'all on one request');
      else await until(() => page.page.evaluate(() => calls.length >= 3), 'jQuery tells of each');
      t.strictSame([page.complaints, warnings], [[], []]);
    },
  );

  t.test(`${mode}: a function of the page may add headers and hooks, and call jQuery`, needsBrowser, async (t) => {
    const { publish, page } = await open(t, { settings });
    await page.page.evaluate(() => {
      Object.assign(globalThis, { calls: [] });
      // Before it is assigned, it is what the original would have.
      const { ajax } = MessageBus;
      MessageBus.ajax = (options: AjaxOptions) => {
        options.headers['X-Shared-Session-Key'] = 'key';
        const { complete } = options;
        options.complete = (...args) => {
          calls.push('complete');
          complete(...args);
        };
        return ajax?.(options);
      };
    });
    await page.subscribe('/a', -1);
    await page.untilPosition('/a', 0);
    await publish('/a', 1);
    await page.untilPosition('/a', 1);
    // Ends what waits.
    await page.subscribe('/b', -1);
    await page.untilPosition('/b', 0);
    await publish('/a', 2);
    await page.untilPosition('/a', 2);
    t.strictSame(
      (await page.received()).map(({ data }) => data),
      [1, 2],
    );
    for (const poll of page.polls) t.equal((await poll.allHeaders())['x-shared-session-key'], 'key');
    t.ok(await page.page.evaluate(() => calls.length > 0), 'its hook was called');
    t.strictSame(page.complaints, []);
  });
}

t.test('without a word of the page, polls go by fetch, though jQuery is there', needsBrowser, async (t) => {
  const { page } = await open(t);
  await page.subscribe('/a', -1);
  await page.untilPosition('/a', 0);
  t.equal((await page.polls[0]?.allHeaders())?.['x-requested-with'], undefined);
  await page.page.evaluate(() => {
    MessageBus.ajax = jQuery.ajax;
  });
  await page.subscribe('/b', -1);
  await page.untilPosition('/b', 0);
  t.equal((await page.polls.at(-1)?.allHeaders())?.['x-requested-with'], 'XMLHttpRequest');
  await page.page.evaluate(() => {
    MessageBus.ajax = undefined;
  });
  await page.subscribe('/c', -1);
  await page.untilPosition('/c', 0);
  t.equal((await page.polls.at(-1)?.allHeaders())?.['x-requested-with'], undefined);
});

t.test('a rate limit, a failure and a function that throws are what they are with fetch', needsBrowser, async (t) => {
  const { publish, page, limit, warnings } = await open(t, { settings: { maxPollInterval: 100 } });
  limit(1);
  await page.page.evaluate(() => {
    let calls = 0;
    const { ajax } = jQuery;
    MessageBus.ajax = (options) => {
      calls++;
      if (calls === 2) throw new Error('no idea');
      if (calls === 3) return options.complete();
      if (calls === 4) options.url = '/nowhere';
      return ajax(options);
    };
  });
  await page.subscribe('/a', 0);
  await publish('/a', 1);
  await page.untilPosition('/a', 1);
  const [limited = 0, next = 0] = page.pollTimes;
  t.ok(next - limited > 950, 'it has waited as it was told to');
  t.equal(warnings.length, 3);
  for (const [i, reason] of [/no idea/, /ended without an answer/, /404/].entries()) t.match(warnings[i], reason);
});

t.test('what is assigned and has no effect is told once', needsBrowser, async (t) => {
  const { page, warnings } = await open(t);
  await page.page.evaluate(() => {
    MessageBus.nonsense = 1;
    Object.assign(MessageBus, { ajax: 'jquery', callbackIntervall: 5 });
    Object.assign(MessageBus, { fetch: () => {} });
    MessageBus.ajax = jQuery.ajax;
  });
  for (const channel of ['/a', '/b', '/c']) {
    await page.subscribe(channel, -1);
    await page.untilPosition(channel, 0);
  }
  t.equal(warnings.length, 4);
  for (const name of ['ajax', 'fetch', 'nonsense', 'callbackIntervall']) {
    t.equal(warnings.filter((warning) => warning.startsWith(`MessageBus: ${name} `)).length, 1, name);
  }
});

t.test('longPoll and onVisibilityChange are there, as in the original', needsBrowser, async (t) => {
  for (const isAjax of [false, true]) {
    const { publish, page } = await open(t, { settings: { callbackInterval: 3_600_000 } });
    t.equal(await page.page.evaluate(() => MessageBus.longPoll), null, 'no poll is under way');
    await page.page.evaluate((way) => {
      MessageBus.onVisibilityChange();
      if (way) MessageBus.ajax = jQuery.ajax;
    }, isAjax);
    await page.subscribe('/a', -1);
    await page.untilPosition('/a', 0);
    const polls = page.polls.length;
    await page.page.evaluate(() => MessageBus.longPoll?.abort());
    await until(() => page.polls.length > polls, 'it polls again');
    await publish('/a', 1);
    await page.untilPosition('/a', 1);
    await page.page.evaluate(() => MessageBus.onVisibilityChange());
    await publish('/a', 2);
    await page.untilPosition('/a', 2);
    t.strictSame(
      (await page.received()).map(({ messageId }) => messageId),
      [1, 2],
    );
    t.strictSame(page.complaints, []);
  }
});
