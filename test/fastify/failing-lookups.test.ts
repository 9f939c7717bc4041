import t from 'tap';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll } from '../helpers/server.js';

t.test('a lookup that throws while an earlier one is still to reject fails the poll, not the process', async (t) => {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, {
    bus,
    userIdLookup: () => new Promise((_, reject) => setImmediate(() => reject(new Error('no session store')))),
    groupIdsLookup: () => {
      throw new Error('no groups');
    },
  });
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', note);
  t.teardown(() => process.off('unhandledRejection', note));
  const { status, text } = await poll(url, { '/a': 0 }, { dlp: true });
  t.equal(status, 500);
  t.match(JSON.parse(text), { code: 'POSTBUS_LOOKUP_FAILED' });
  t.strictSame(unhandled, []);
});
