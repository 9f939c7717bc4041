import t from 'tap';
import { History } from '../../src/distributed-cache/history.js';

const computed = (key: string, since: number) => ({ op: 'set' as const, key, value: '1', since });

t.test('what was computed before a change, or before all that is known, is not taken', (t) => {
  const history = new History();
  history.restart(10);
  t.ok(history.admits({ op: 'set', key: 'a', value: '1' }), 'what was not computed counts always');
  t.notOk(history.admits(computed('a', 9)));
  t.ok(history.admits(computed('a', 10)));
  history.note({ op: 'delete', key: 'a' }, 11);
  t.notOk(history.admits(computed('a', 10)));
  t.ok(history.admits(computed('a', 11)));
  t.ok(history.admits(computed('b', 10)));
  history.note({ op: 'clear' }, 12);
  t.notOk(history.admits(computed('b', 11)));
  t.ok(history.admits(computed('a', 12)));
  history.restart(5);
  t.ok(history.admits(computed('a', 5)), 'after ids have gone back');
  t.end();
});

t.test('of many keys it knows the last, and does not guess about the others', (t) => {
  const history = new History();
  const count = 10_000;
  for (let id = 1; id <= count; id++) history.note({ op: 'delete', key: `k${id}` }, id);
  t.ok(history.admits(computed('new', 0)), 'so many it knows');
  history.note({ op: 'delete', key: 'k1' }, count + 1);
  t.ok(history.admits(computed('new', 0)), 'one that changes again is no other');
  history.note({ op: 'delete', key: 'one more' }, count + 2);
  t.notOk(history.admits(computed('new', 0)));
  t.notOk(history.admits(computed('new', 1)), 'k2 was the oldest');
  t.ok(history.admits(computed('new', 2)));
  t.notOk(history.admits(computed('k1', 2)));
  t.end();
});
