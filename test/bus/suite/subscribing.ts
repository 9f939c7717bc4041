import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { internalsOf } from '../../../src/bus/internals.js';
import type { Bus, Message, SubscribeOptions } from '../../../src/index.js';
import { until } from '../../helpers/until.js';
import { listen, type OpenHost } from './host.js';

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

/** What a subscriber is called with. */
async function record(bus: Bus, channel: string | null, options: SubscribeOptions = {}): Promise<Message[]> {
  const received: Message[] = [];
  await bus.subscribe(channel, (message) => received.push(message), options);
  return received;
}

const dataOf = (messages: Message[]) => messages.map((message) => message.data);

export function subscribing(t: Test, open: OpenHost): void {
  t.test('where a subscription begins', async (t) => {
    const { bus } = await listen(t, open);
    for (const i of [1, 2, 3]) await bus.publish('/a', i);
    await bus.publish('/b', 'b');
    const cases: [string | null, SubscribeOptions, unknown[]][] = [
      ['/a', {}, []],
      ['/a', { lastId: -1 }, []],
      ['/a', { lastId: 0 }, [1, 2, 3]],
      ['/a', { lastId: 2 }, [3]],
      ['/a', { lastId: 3 }, []],
      ['/a', { lastId: 99 }, []],
      ['/a', { lastId: -2 }, [3]],
      ['/a', { lastId: -3 }, [2, 3]],
      ['/a', { lastId: -99 }, [1, 2, 3]],
      [null, {}, []],
      [null, { lastId: 0 }, [1, 2, 3, 'b']],
      [null, { lastId: 2 }, [3, 'b']],
      [null, { lastId: -2 }, ['b']],
    ];
    const received = await Promise.all(cases.map(([channel, options]) => record(bus, channel, options)));
    await bus.publish('/a', 'live');
    await until(() => received.every((messages) => messages.at(-1)?.data === 'live'), 'all have the live one');
    cases.forEach(([channel, { lastId }, backlog], i) => {
      t.strictSame(dataOf(received[i] ?? []), [...backlog, 'live'], `${channel} from ${lastId}`);
    });
  });

  t.test('no gap and no duplicate where the backlog ends and live messages begin', async (t) => {
    const { host, bus } = await listen(t, open);
    // While a bus begins, publishers may go on by more than a channel keeps otherwise: that would be a gap.
    await bus.configure({ maxBacklogSize: 100_000, maxGlobalBacklogSize: 100_000 });
    const publisher = host.openBus();
    const [small, large] = ['x', 'x'.repeat(9_000)];
    let done = false;
    const publishing = numbers(3).map(async (number) => {
      while (!done) {
        const data = Math.random() < 0.1 ? large : small;
        // Singly as SQL does it, or in batches.
        if (number === 1) await host.query(`select message_bus.publish('/a', to_jsonb($1::text))`, [data]);
        else await Promise.all(numbers(number).map(() => publisher.publish('/a', data)));
        if (Math.random() < 0.3) await delay(Math.random() * 4);
      }
    });
    const subscribers: { from: number; global: boolean; received: Message[] }[] = [];
    for (let round = 0; round < host.rounds; round++) {
      await delay(Math.random() * 10);
      const global = round % 3 === 0;
      const last = (await bus.lastMessage('/a')) ?? { messageId: 0 };
      const from = Math.max(0, last.messageId - Math.floor(Math.random() * 20));
      // Another bus each time now and then: its feed has not seen the channel yet.
      const reader = round % 4 === 1 ? host.openBus() : bus;
      subscribers.push({ from, global, received: await record(reader, global ? null : '/a', { lastId: from }) });
    }
    done = true;
    await Promise.all(publishing);
    const last = await bus.lastId('/a');
    await until(
      () => subscribers.every(({ received }) => received.at(-1)?.messageId === last),
      'all have the last one',
    );
    t.ok(last > 100, `${last} messages`);
    for (const { from, global, received } of subscribers) {
      const ids = received.map((message) => (global ? message.globalId : message.messageId));
      t.strictSame(
        ids,
        numbers(last - from).map((i) => from + i),
      );
    }
  });

  t.test('sites, and channels of all sites', async (t) => {
    const { bus } = await listen(t, open);
    const [none, one, other, all, everything] = await Promise.all([
      record(bus, '/a', { lastId: 0 }),
      record(bus, '/a', { lastId: 0, siteId: 'one' }),
      record(bus, '/a', { lastId: 0, siteId: 'other' }),
      record(bus, '/global/a', { lastId: 0, siteId: 'one' }),
      record(bus, null),
    ]);
    await bus.publish('/a', 'none');
    await bus.publish('/a', 'one', { siteId: 'one' });
    await bus.publish('/global/a', 'all', { siteId: 'other' });
    await bus.publish('/a', 'end');
    await bus.publish('/a', 'end', { siteId: 'one' });
    await until(() => everything.length === 5 && none.length === 2 && one.length === 2, 'all have theirs');
    t.strictSame(dataOf(none), ['none', 'end']);
    t.strictSame(dataOf(one), ['one', 'end']);
    t.strictSame(other, []);
    t.strictSame(dataOf(all), ['all']);
    t.match(all[0], { channel: '/global/a', siteId: null });
    t.strictSame(
      everything.map((message) => message.siteId),
      [null, 'one', null, null, 'one'],
    );
  });

  t.test('the next call waits for the promise of the one before', async (t) => {
    const { bus } = await listen(t, open);
    const calls: string[] = [];
    await bus.subscribe('/a', async ({ data }) => {
      calls.push(`begin ${data}`);
      await delay(Math.random() * 10);
      calls.push(`end ${data}`);
    });
    await Promise.all(numbers(20).map((i) => bus.publish('/a', i)));
    await until(() => calls.length === 40, 'all were called');
    t.strictSame(
      calls,
      numbers(20).flatMap((i) => [`begin ${i}`, `end ${i}`]),
    );
  });

  t.test('a slow callback holds back only itself, and loses nothing', async (t) => {
    const { host, bus } = await listen(t, open);
    await bus.configure({ maxBacklogSize: 10_000, maxGlobalBacklogSize: 10_000 });
    // More than the queue of a subscription holds, several times over.
    const total = 3_500;
    for (const channel of ['/a', null]) {
      const before = (await bus.globalBacklog()).length;
      let letGo = () => {};
      const held = new Promise<void>((resolve) => {
        letGo = resolve;
      });
      const slow: number[] = [];
      await bus.subscribe(channel, async ({ data }) => {
        if (slow.push(Number(data)) === 1) await held;
      });
      const quick = await record(bus, channel);
      for (let i = 0; i < total; i += 500) {
        await Promise.all(numbers(500).map((n) => bus.publish('/a', i + n)));
        if (i % 1_000 === 0) {
          await host.breakListeners();
        }
      }
      await until(() => quick.length === total, 'the quick one has all');
      t.strictSame(slow, [1], 'the slow one is still at its first');
      letGo();
      await until(() => slow.length >= total, 'the slow one has all');
      await bus.publish('/a', 0);
      await until(() => slow.at(-1) === 0, 'and what comes live again');
      t.strictSame(slow, [...numbers(total), 0]);
      t.equal((await bus.globalBacklog()).length, before + total + 1);
    }
  });

  t.test('a backlog of more than the queue of a subscription holds', async (t) => {
    const { host, bus } = await listen(t, open);
    // The global backlog holds that many without being told to.
    await host.query(
      `select message_bus.publish('/a', to_jsonb(i)), message_bus.publish('/b', to_jsonb(i)) from generate_series(1, 1000) i`,
    );
    const received = await record(bus, null, { lastId: 0 });
    await until(() => received.length >= 2_000, 'the backlog came');
    await bus.publish('/a', 'live');
    await until(() => received.at(-1)?.data === 'live', 'the live message came');
    t.strictSame(
      received.map((message) => message.globalId),
      numbers(2_001),
    );
  });

  t.test('a callback that throws is reported and harms nobody', async (t) => {
    const { bus } = await listen(t, open);
    const [throwing, rejecting]: [unknown[], unknown[]] = [[], []];
    await bus.subscribe('/a', ({ data }) => {
      throwing.push(data);
      throw new Error('thrown');
    });
    await bus.subscribe('/a', async ({ data }) => {
      rejecting.push(data);
      throw new Error('rejected');
    });
    const quiet = await record(bus, '/a');
    for (const i of numbers(3)) {
      await bus.publish('/a', i);
      await until(() => [throwing, rejecting, quiet].every((calls) => calls.length === i), `all have message ${i}`);
    }
    t.strictSame(throwing, [1, 2, 3]);
    t.strictSame(rejecting, [1, 2, 3]);
    t.strictSame(dataOf(quiet), [1, 2, 3]);
    t.equal(bus.log.length, 6);
    for (const { level, message, details } of bus.log) {
      t.strictSame([level, message], ['error', 'a subscriber failed']);
      t.match(details, { channel: '/a', err: { message: /thrown|rejected/ } });
    }
  });

  t.test('a callback that is unsubscribed is not called again', async (t) => {
    const { bus } = await listen(t, open);
    const received: unknown[] = [];
    const subscription = await bus.subscribe('/a', async ({ data }) => {
      received.push(data);
      if (data === 2) await subscription.unsubscribe();
    });
    const other = await record(bus, '/a');
    await Promise.all(numbers(5).map((i) => bus.publish('/a', i)));
    await until(() => other.length === 5, 'the other one has all');
    await bus.publish('/a', 6);
    await until(() => other.length === 6, 'the other one goes on');
    t.strictSame(received, [1, 2]);
    t.equal(internalsOf(bus).dispatcher.counts.cursors, 1);
    await subscription.unsubscribe();
  });

  t.test('a callback that ends its subscription while the backlog comes', async (t) => {
    const { host, bus } = await listen(t, open);
    // Several pages of a read, in all.
    await host.query(
      `select message_bus.publish('/a', jsonb_build_object('n', i, 'x', repeat('x', 100000))) from generate_series(1, 20) i`,
    );
    for (const channel of ['/a', null]) {
      for (const last of [1, 2, 20]) {
        for (const isAsync of [false, true]) {
          const received: number[] = [];
          const subscription = await bus.subscribe(
            channel,
            async ({ messageId }, own) => {
              if (isAsync) await delay(1);
              received.push(messageId);
              if (messageId === last) await own.unsubscribe();
            },
            { lastId: 0 },
          );
          await until(() => received.length === last, `it was called ${last} times`);
          t.equal(subscription.channel, channel);
          t.strictSame(received, numbers(last));
          t.equal(internalsOf(bus).dispatcher.counts.cursors, 0, 'nothing is left of it');
          await bus.lastId('/a');
          t.equal(received.length, last, 'it is not called again');
          await subscription.unsubscribe();
        }
      }
    }
  });

  t.test('unsubscribing does not wait for a call under way, which may be its own', async (t) => {
    const { bus } = await listen(t, open);
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const calls: string[] = [];
    const subscription = await bus.subscribe('/a', async () => {
      calls.push('begin');
      await held;
      calls.push('end');
    });
    await bus.publish('/a', 1);
    await bus.publish('/a', 2);
    await until(() => calls.length === 1, 'it was called');
    await subscription.unsubscribe();
    letGo();
    await until(() => calls.length === 2, 'the call goes on');
    await bus.publish('/a', 3);
    await bus.lastId('/a');
    t.strictSame(calls, ['begin', 'end']);
  });

  t.test('what one callback does to a message, no other sees', async (t) => {
    const { bus } = await listen(t, open);
    const seen: unknown[] = [];
    for (let i = 0; i < 2; i++) {
      await bus.subscribe('/a', (message) => {
        seen.push(structuredClone(message));
        if (typeof message.data === 'object' && message.data) Object.assign(message.data, { spoilt: true });
        message.userIds?.push('spoilt');
        Object.assign(message, { channel: 'spoilt' });
      });
    }
    await bus.publish('/a', { fine: true }, { userIds: [7] });
    await until(() => seen.length === 2, 'both were called');
    for (const message of seen) t.match(message, { channel: '/a', data: { fine: true }, userIds: ['7'] });
    t.strictSame(seen[0], seen[1]);
    t.strictSame(seen[0], (await bus.backlog('/a'))[0]);
  });

  t.test('a subscription under way when the bus is closed is rejected', async (t) => {
    const { bus } = await listen(t, open);
    const rejected = t.rejects(
      bus.subscribe('/a', () => {}, { lastId: 0 }),
      { code: 'POSTBUS_CLOSED' },
    );
    await bus.close();
    await rejected;
    await t.rejects(
      bus.subscribe('/a', () => {}),
      { code: 'POSTBUS_CLOSED' },
    );
  });
}
