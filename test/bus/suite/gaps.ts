import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import type { Bus, Gap, SubscribeOptions } from '../../../src/index.js';
import { until } from '../../helpers/until.js';
import { listen, type OpenHost } from './host.js';

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** What a subscriber is told, in order: ids of messages, and gaps. */
export async function record(
  bus: Bus,
  channel: string | null,
  options: SubscribeOptions = {},
): Promise<(number | Gap)[]> {
  const told: (number | Gap)[] = [];
  await bus.subscribe(
    channel,
    (message) => {
      told.push(channel === null ? message.globalId : message.messageId);
    },
    { onGap: (gap) => told.push(gap), ...options },
  );
  return told;
}

export const gap = (channel: string | null, after: number, firstId: number): Gap => ({ channel, after, firstId });

export function gaps(t: Test, open: OpenHost): void {
  t.test('where the backlog has passed the id, a gap comes first', async (t) => {
    const { bus } = await listen(t, open);
    for (const i of numbers(1, 10)) await bus.publish('/a', i, { maxBacklogSize: 3 });
    const cases: [string | null, SubscribeOptions, (number | Gap)[]][] = [
      ['/a', { lastId: 0 }, [gap('/a', 0, 8), 8, 9, 10]],
      ['/a', { lastId: 6 }, [gap('/a', 6, 8), 8, 9, 10]],
      ['/a', { lastId: 7 }, [8, 9, 10]],
      ['/a', { lastId: 10 }, []],
      ['/a', {}, []],
      ['/a', { lastId: -3 }, [9, 10]],
      ['/a', { lastId: -99 }, [8, 9, 10]],
      ['/a', { lastId: 99 }, [gap('/a', 99, 11)]],
      [null, { lastId: 2 }, [gap(null, 2, 8), 8, 9, 10]],
      [null, { lastId: 99 }, [gap(null, 99, 11)]],
      [null, { lastId: -99 }, [8, 9, 10]],
    ];
    const told = await Promise.all(cases.map(([channel, options]) => record(bus, channel, options)));
    await bus.publish('/a', 'live');
    await until(() => told.every((list) => list.at(-1) === 11), 'all have the live one');
    cases.forEach(([channel, { lastId }, expected], i) => {
      t.strictSame(told[i], [...expected, 11], `${channel} from ${lastId}`);
    });
  });

  t.test('after a reset', async (t) => {
    const { bus } = await listen(t, open);
    for (const i of numbers(1, 5)) await bus.publish('/a', i);
    const upToDate = await record(bus, '/a');
    await bus.reset();
    const behind = await record(bus, '/a', { lastId: 2 });
    const all = await record(bus, null, { lastId: 0 });
    await until(() => behind.length === 1 && all.length === 1, 'they are told at once');
    await bus.publish('/a', 6);
    await until(() => [upToDate, behind, all].every((list) => list.at(-1) === 6), 'the next one came');
    t.strictSame({ upToDate, behind, all }, { upToDate: [6], behind: [gap('/a', 2, 6), 6], all: [gap(null, 0, 6), 6] });
  });

  t.test('messages that expired between others', async (t) => {
    const { bus } = await listen(t, open);
    for (const i of numbers(1, 6)) await bus.publish('/a', i, i % 3 === 0 ? {} : { maxBacklogAge: 1 });
    await until(async () => (await bus.backlog('/a')).length === 2, 'they have expired');
    const told = await record(bus, '/a', { lastId: 0 });
    const twoLast = await record(bus, '/a', { lastId: -5 });
    await bus.publish('/a', 7);
    await until(() => told.at(-1) === 7 && twoLast.at(-1) === 7, 'the next one came');
    t.strictSame(told, [gap('/a', 0, 3), 3, gap('/a', 3, 6), 6, 7]);
    t.equal(twoLast[0], 3, 'of those that were asked for by their number, none is missed at the start');
  });

  t.test('a subscriber so slow that the backlog passes it', async (t) => {
    const { bus } = await listen(t, open);
    for (const channel of ['/a', null]) {
      const told: (number | Gap)[] = [];
      let letGo = () => {};
      const held = new Promise<void>((resolve) => {
        letGo = resolve;
      });
      const before = await bus.lastId('/a');
      const quick = await record(bus, channel);
      await bus.subscribe(
        channel,
        async ({ messageId }) => {
          if (told.push(messageId) === 1) await held;
        },
        {
          onGap: async (gap) => {
            await delay(5);
            told.push(gap);
          },
        },
      );
      let last = before;
      for (let i = 0; i < 6; i++) {
        last = Math.max(...(await Promise.all(numbers(1, 600).map((i) => bus.publish('/a', i)))));
        // What the slow one is given is as of what has been heard of; a bus that is behind itself would miss some for both.
        await until(() => quick.at(-1) === last, 'the bus has heard of all');
      }
      t.equal(last, before + 3_600);
      letGo();
      await until(() => told.at(-1) === last, 'it has caught up');
      // What it had in hand, and what is left: the two channels' windows are 1000 and 2000 messages, the same here.
      const at = told.findIndex((each) => typeof each === 'object');
      const missed = told[at];
      if (typeof missed !== 'object') throw new Error('no gap');
      t.strictSame(told.slice(0, at), numbers(before + 1, missed.after));
      t.strictSame(told.slice(at + 1), numbers(missed.firstId, last));
      t.equal(missed.firstId, last - 999);
      t.ok(missed.after >= before + 1_000 && missed.after < missed.firstId, `${missed.after}`);
    }
  });

  t.test('without a function for gaps, the log has them', async (t) => {
    const { bus } = await listen(t, open);
    for (const i of numbers(1, 3)) await bus.publish('/a', i, { maxBacklogSize: 1 });
    await bus.subscribe('/a', () => {}, { lastId: 1 });
    await bus.subscribe('/a', () => {}, { lastId: 0 });
    await bus.subscribe('/a', () => {}, { lastId: 2 });
    await until(() => bus.log.length > 0, 'it is logged');
    t.strictSame(bus.log, [
      {
        level: 'warn',
        message: 'a subscriber has missed messages that can no longer be read',
        details: { channel: '/a', after: 1, firstId: 3 },
      },
    ]);
  });

  t.test('a function for gaps that fails is reported, and the messages come all the same', async (t) => {
    const { bus } = await listen(t, open);
    for (const i of numbers(1, 3)) await bus.publish('/a', i, { maxBacklogSize: 1 });
    const fail = () => {
      throw new Error('on purpose');
    };
    const told = await Promise.all([
      record(bus, '/a', { lastId: 1, onGap: fail }),
      record(bus, '/a', { lastId: 1, onGap: async () => fail() }),
    ]);
    await until(() => told.every((list) => list.at(-1) === 3), 'the message came');
    t.strictSame(told, [[3], [3]]);
    t.match(bus.log, [
      { level: 'error', message: 'a subscriber failed', details: { err: { message: 'on purpose' } } },
      { level: 'error', message: 'a subscriber failed' },
    ]);
    // What only a program in JavaScript can get past the types.
    const option: string = 'onGap';
    await t.rejects(
      bus.subscribe('/a', () => {}, { [option]: 'log' }),
      { code: 'POSTBUS_BAD_OPTION', message: /^onGap: / },
    );
  });

  t.test('unsubscribing by the callback', async (t) => {
    const { bus } = await listen(t, open);
    const calls: string[] = [];
    const one = ({ channel, siteId }: { channel: string; siteId: string | null }) =>
      calls.push(`one ${siteId}${channel}`);
    const other = () => calls.push('other');
    await bus.subscribe('/a', one);
    await bus.subscribe('/a', one);
    await bus.subscribe('/a', one, { siteId: 's' });
    await bus.subscribe('/b', one);
    await bus.subscribe(null, one);
    await bus.subscribe('/a', other);
    await bus.unsubscribe('/a', one);
    await bus.unsubscribe('/a', () => {});
    await bus.publish('/a', 1);
    await bus.publish('/a', 1, { siteId: 's' });
    await bus.publish('/b', 1);
    await until(() => calls.length >= 6, 'the others were called');
    t.strictSame(calls.sort(), ['one null/a', 'one null/b', 'one null/b', 'one s/a', 'one s/a', 'other']);

    calls.length = 0;
    await bus.unsubscribe('/a', one, { siteId: 's' });
    await bus.unsubscribe(null, one);
    await bus.unsubscribe('/b', one);
    await bus.publish('/b', 1);
    await bus.publish('/a', 1, { siteId: 's' });
    await bus.publish('/a', 1);
    await until(() => calls.length >= 1, 'the last one was called');
    t.strictSame(calls, ['other']);
    await t.rejects(bus.unsubscribe('__a', one), { code: 'POSTBUS_BAD_CHANNEL' });
  });
}
