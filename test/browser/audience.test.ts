import t from 'tap';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { ClientPage, clientNames, type Settings } from '../helpers/pages/client-page.js';
import { serveClient } from '../helpers/pages/served-client.js';

const browser = new TestBrowser(t);

const transports: Record<string, Settings> = {
  streaming: {},
  'long polling': { enableChunkedEncoding: false },
  polling: { enableLongPolling: false },
};

t.test('a message for one user reaches nobody else', needsBrowser, async (t) => {
  const { publish, url } = await serveClient(t, browser, {
    userIdLookup: (request) => request.headers['x-user']?.toString(),
    // Polls end often: those who may not see a message move on with the next one.
    longPollingInterval: 200,
  });
  const openPages = async (user: string) => {
    const context = await browser.openProfile(t);
    const kinds = clientNames.flatMap((client) => Object.entries(transports).map((each) => [client, ...each] as const));
    return Promise.all(
      kinds.map(async ([client, transport, changed]) => {
        const settings = { headers: { 'x-user': user }, callbackInterval: 100, ...changed };
        const page = await ClientPage.open(context, url, { client, settings });
        await page.subscribe('/inbox', -1);
        await page.untilPosition('/inbox', 0);
        return { page, who: `${user}, by ${transport} of ${client}` };
      }),
    );
  };
  const [ofAnn, ofBob] = await Promise.all([openPages('ann'), openPages('bob')]);
  const allAt = (id: number) => Promise.all([...ofAnn, ...ofBob].map(({ page }) => page.untilPosition('/inbox', id)));

  await publish('/inbox', 'for ann', { userIds: ['ann'] });
  await allAt(1);
  for (const { page, who } of ofBob) t.strictSame(await page.received(), [], `${who}, moved on without having seen it`);

  await publish('/inbox', 'for both', { userIds: ['ann', 'bob'] });
  await publish('/inbox', 'for bob', { userIds: ['bob'] });
  await publish('/inbox', 'for all');
  await allAt(4);
  for (const [pages, expected] of [
    [ofAnn, ['for ann', 'for both', 'for all']],
    [ofBob, ['for both', 'for bob', 'for all']],
  ] as const) {
    for (const { page, who } of pages) {
      const data = (await page.received()).map((each) => each.data);
      t.strictSame(data, expected, who);
    }
  }
});
