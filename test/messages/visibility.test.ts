import t from 'tap';
import { ClientFilters } from '../../src/messages/client-filters.js';
import { Batch } from '../../src/messages/frame.js';
import { StoredMessage } from '../../src/messages/message.js';
import { visibleTo } from '../../src/messages/visibility.js';
import { logTo } from '../helpers/bus.js';

const filters = new ClientFilters(logTo().logger);
const names = (what: string, count: number) => Array.from({ length: count }, (_, i) => `${what} ${i}`);
const viewers = names('client', 1_000).map((clientId) => ({
  clientId,
  userId: clientId,
  groupIds: names('group', 50),
}));

/** Ms that it takes to look for all viewers among so many ids. */
function timeFor(count: number): number {
  const ids = names('other', count);
  const targets = { userIds: ids, groupIds: [...ids], clientIds: null };
  const start = performance.now();
  const batch = new Batch([new StoredMessage(1, 1, '', '/a', targets, '1', 0)]);
  const seen = viewers.filter((viewer) => visibleTo(viewer, batch, filters).messages.length > 0);
  t.equal(seen.length, 0);
  return performance.now() - start;
}

t.test('a message for twenty thousand groups does not cost a thousand times what one for twenty does', async (t) => {
  timeFor(20);
  t.ok(timeFor(20_000) < 100 * timeFor(20));
});
