import t, { type Test } from 'tap';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { openBus } from '../helpers/bus.js';
import { startServer } from '../helpers/command.js';
import { createDatabase } from '../helpers/database.js';
import { startNginx, withoutNginx } from '../helpers/nginx.js';
import { ClientPage, clientNames, servePages } from '../helpers/pages/client-page.js';
import { publishOn } from '../helpers/pages/served-client.js';
import { startProxy } from '../helpers/proxy.js';
import { listen } from '../helpers/server.js';

const browser = new TestBrowser(t);
const count = 60;

interface Behind {
  pages: string;
  /** What `postbus serve` answers on, in so many processes. */
  serve: (workers: number) => Promise<string>;
}

// Where a page may find the bus: as its own site, each poll on any of several processes, and with nginx in between.
const places: Record<string, { skip?: false | string; front: (t: Test, behind: Behind) => Promise<string> }> = {
  'one server': {
    front: async (t, { pages, serve }) => bySite(t, pages, await serve(1)),
  },
  'a cluster': {
    front: async (t, { pages, serve }) => bySite(t, pages, await serve(3)),
  },
  'a cluster behind nginx': {
    skip: withoutNginx,
    front: async (t, { pages, serve }) => startNginx(t, await serve(3), { site: pages }),
  },
};

async function bySite(t: Test, pages: string, bus: string): Promise<string> {
  const { url } = await startProxy(t, (path) => (path.startsWith('/message-bus/') ? bus : pages));
  return url;
}

for (const [name, { skip, front }] of Object.entries(places)) {
  t.test(name, skip ? { skip } : needsBrowser, async (t) => {
    const database = await createDatabase(t);
    const { url: pages } = await listen(t, { bus: openBus(t, database.url) }, servePages);
    const serve = async (workers: number) => {
      const env = { DATABASE_URL: database.url };
      return (await startServer(t, ['--workers', String(workers)], { env })).url;
    };
    const url = await front(t, { pages, serve });
    const publish = publishOn(database.query);
    for (let n = 1; n <= 4; n++) await publish('/a', n);

    const open = async (client: (typeof clientNames)[number], enableChunkedEncoding: boolean) => {
      // Of its own: a profile has six connections to a server.
      const context = await browser.openProfile(t);
      return Promise.all(
        Object.entries({ 0: 1, '-1': 5, '-3': 3, 3: 4 }).map(async ([lastId, first]) => {
          const settings = { enableChunkedEncoding, callbackInterval: 100 };
          const page = await ClientPage.open(context, url, { client, settings });
          await page.subscribe('/a', Number(lastId));
          await page.untilPosition('/a', 4);
          return {
            page,
            first,
            what: `${client}, ${enableChunkedEncoding ? 'streaming' : 'long polling'}, from ${lastId}`,
          };
        }),
      );
    };
    const opened = clientNames.flatMap((client) => [open(client, true), open(client, false)]);
    const readers = (await Promise.all(opened)).flat();
    for (let n = 5; n <= count; n++) {
      await publish('/a', n);
      if (n % 3 === 0) await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
    }
    for (const { page, first, what } of readers) {
      await page.untilPosition('/a', count);
      const received = await page.received();
      t.strictSame(
        received.map(({ data }) => data),
        Array.from({ length: count + 1 - first }, (_, i) => first + i),
        what,
      );
      t.strictSame(page.complaints, []);
    }
  });
}
