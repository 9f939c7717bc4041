import t from 'tap';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { startTcpProxy } from '../helpers/tcp-proxy.js';

/** What Postgres says when it ends a session. */
const fields = Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0');
const farewell = Buffer.concat([Buffer.from('E'), Buffer.alloc(4), fields]);
farewell.writeInt32BE(4 + fields.length, 1);
const ready = Buffer.from('Z\0\0\0\x05I', 'latin1');

t.test('a session that is ended in the moment when it is there fails its query, and not the process', async (t) => {
  const database = await createDatabase(t);
  let isEnding = true;
  const url = await startTcpProxy(
    t,
    () => database.url,
    (near, far) => {
      near.pipe(far);
      far.on('data', (data) => {
        // In one piece with the last message of the login, as a busy process reads them.
        if (isEnding && data.subarray(-ready.length).equals(ready)) near.end(Buffer.concat([data, farewell]));
        else near.write(data);
      });
    },
  );
  const bus = openBus(t, url);
  await t.rejects(bus.publish('/a', 1), { code: 'POSTBUS_CONNECTION_LOST' });
  await t.rejects(bus.backlog('/a'), { code: 'POSTBUS_CONNECTION_LOST' });
  isEnding = false;
  t.equal(await bus.publish('/a', 2), 1);
});
