import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import t from 'tap';
import { startServer } from '../helpers/command.js';
import { createDatabase } from '../helpers/database.js';

t.test(
  'postbus serve serves the script for browsers, with the demo and without, also to pages of other origins',
  async (t) => {
    const { url: DATABASE_URL } = await createDatabase(t);
    const script = readFileSync(createRequire(import.meta.url).resolve('postbus/client/message-bus.js'), 'utf8');
    for (const args of [[], ['--demo']]) {
      const { url } = await startServer(t, args, { env: { DATABASE_URL } });
      const response = await fetch(`${url}/message-bus.js`);
      t.equal(response.status, 200);
      t.equal(response.headers.get('content-type'), 'text/javascript; charset=utf-8');
      t.notOk(response.headers.has('cross-origin-resource-policy'));
      t.equal(await response.text(), script);
    }
  },
);
