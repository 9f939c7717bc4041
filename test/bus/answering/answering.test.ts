import t from 'tap';
import type { Gap } from '../../../src/index.js';
import { openBus } from '../../helpers/bus.js';
import { startChild } from '../../helpers/child.js';
import { createDatabase } from '../../helpers/database.js';
import { until } from '../../helpers/until.js';

const processes = 10;
const questions = 1_000;

t.test('ten processes answer a thousand messages each: every answer arrives once, in order', async (t) => {
  const { url } = await createDatabase(t);
  const bus = openBus(t, url);
  // However slow this process is, its subscriber must find them.
  await bus.configure({ maxBacklogSize: processes * questions });
  const program = new URL('answerer.js', import.meta.url);
  const children = Array.from({ length: processes }, () => startChild(t, program, { URL: url }));
  const ids: number[] = [];
  const answers: string[] = [];
  const gaps: Gap[] = [];
  await bus.subscribe(
    '/answers',
    ({ messageId, data }) => {
      const { pid, to } = Object(data);
      ids.push(messageId);
      answers.push(`${pid} ${to}`);
    },
    { onGap: (gap) => gaps.push(gap) },
  );
  await until(() => children.every(({ said }) => said.length > 0), 'all have subscribed', 60_000);

  await Promise.all(Array.from({ length: questions }, (_, i) => bus.publish('/questions', i)));
  await until(() => answers.length >= processes * questions || gaps.length > 0, 'all have answered', 60_000);
  // One that came twice would come before this one.
  await bus.publish('/answers', { pid: 'the', to: 'last' });
  await until(() => answers.at(-1) === 'the last', 'the last one came');
  t.strictSame(gaps, []);
  t.strictSame(
    ids,
    Array.from({ length: processes * questions + 1 }, (_, i) => i + 1),
  );
  const expected = children.flatMap(({ process }) =>
    Array.from({ length: questions }, (_, i) => `${process.pid} ${i + 1}`),
  );
  t.strictSame(answers.slice(0, -1).sort(), expected.sort());
});
