// A bus in memory in an empty project: it works, and starts from the data directory that the package holds.
import { PGlite } from '@electric-sql/pglite';
import { createMemoryBus } from 'postbus/memory';

let started;
const { query } = PGlite.prototype;
PGlite.prototype.query = function (...args) {
  started = this;
  return query.apply(this, args);
};
const bus = createMemoryBus();
if ((await bus.publish('/chat', 1)) !== 1) throw new Error('not the first message');
const { rows } = await started.query('show wal_segment_size');
if (rows[0].wal_segment_size !== '1MB') throw new Error('the prepared data directory was not used');
await bus.close();
