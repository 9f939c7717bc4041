import t from 'tap';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { ClientPage, type ClientSettings } from '../helpers/pages/client-page.js';
import { serveClient } from '../helpers/pages/served-client.js';

const browser = new TestBrowser(t);

for (const transport of ['streaming', 'long polling', 'polling'] as const) {
  t.test(`a message for one user reaches nobody else, by ${transport}`, needsBrowser, async (t) => {
    const { publish, context, url } = await serveClient(t, browser, {
      userIdLookup: (request) => request.headers['x-user']?.toString(),
      // Polls end often: those who may not see a message move on with the next one.
      longPollingInterval: 200,
    });
    const open = async (user: string) => {
      const settings: ClientSettings = {
        headers: { 'x-user': user },
        callbackInterval: 100,
        enableLongPolling: transport !== 'polling',
        enableChunkedEncoding: transport === 'streaming',
      };
      const page = await ClientPage.open(context, url, settings);
      await page.subscribe('/inbox', -1);
      await page.untilPosition('/inbox', 0);
      return page;
    };
    const [ann, bob] = await Promise.all([open('ann'), open('bob')]);

    await publish('/inbox', 'for ann', { userIds: ['ann'] });
    await Promise.all([ann.untilPosition('/inbox', 1), bob.untilPosition('/inbox', 1)]);
    t.strictSame(await bob.received(), [], 'moved on without having seen it');

    await publish('/inbox', 'for both', { userIds: ['ann', 'bob'] });
    await publish('/inbox', 'for bob', { userIds: ['bob'] });
    await publish('/inbox', 'for all');
    await Promise.all([ann.untilPosition('/inbox', 4), bob.untilPosition('/inbox', 4)]);
    t.strictSame(
      (await ann.received()).map(({ data }) => data),
      ['for ann', 'for both', 'for all'],
    );
    t.strictSame(
      (await bob.received()).map(({ data }) => data),
      ['for both', 'for bob', 'for all'],
    );
  });
}
