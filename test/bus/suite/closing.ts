import type { Test } from 'tap';
import type { Bus } from '../../../src/index.js';
import { until } from '../../helpers/until.js';
import type { OpenHost } from './host.js';

export function closing(t: Test, open: OpenHost): void {
  t.test('check() tells whether a bus works, also one that only publishes', async (t) => {
    const host = await open(t);
    const bus = host.openBus();
    await bus.check();
    bus.off();
    await t.rejects(bus.check(), { code: 'POSTBUS_OFF' });
    bus.on();
    await bus.subscribe('/a', () => {});
    await until(() => bus.isConnected, 'it hears');
    await bus.check();
  });

  t.test('close() twice, and every use after it', async (t) => {
    const host = await open(t);
    const bus = host.openBus();
    const subscription = await bus.subscribe('/a', () => {});
    t.equal(bus.close(), bus.close());
    await bus.close();
    await bus.close();
    await subscription.unsubscribe();
    t.equal(bus.isConnected, false);
    const uses: Record<string, (bus: Bus) => unknown> = {
      migrate: (bus) => bus.migrate(),
      connect: (bus) => bus.connect(),
      check: (bus) => bus.check(),
      publish: (bus) => bus.publish('/a', 1),
      publishMany: (bus) => bus.publishMany([{ channel: '/a', data: 1 }]),
      subscribe: (bus) => bus.subscribe('/a', () => {}),
      unsubscribe: (bus) => bus.unsubscribe('/a', () => {}),
      registerClientMessageFilter: (bus) => bus.registerClientMessageFilter('/a', () => true),
      backlog: (bus) => bus.backlog('/a'),
      globalBacklog: (bus) => bus.globalBacklog(),
      lastId: (bus) => bus.lastId('/a'),
      lastIds: (bus) => bus.lastIds(['/a']),
      lastMessage: (bus) => bus.lastMessage('/a'),
      getMessage: (bus) => bus.getMessage('/a', 1),
      configure: (bus) => bus.configure({}),
      expireAllBacklogs: (bus) => bus.expireAllBacklogs(),
      reset: (bus) => bus.reset(),
      diagnostics: (bus) => bus.diagnostics(),
      off: (bus) => bus.off(),
      on: (bus) => bus.on(),
    };
    const methods = Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(bus)))
      .filter(([, { value }]) => typeof value === 'function')
      .map(([name]) => name);
    t.strictSame([...Object.keys(uses), 'close', 'constructor'].sort(), methods.sort());
    for (const [name, use] of Object.entries(uses)) {
      await t.rejects(async () => use(bus), { code: 'POSTBUS_CLOSED' }, name);
    }
    const next = host.openBus();
    t.equal(await next.publish('/a', 1), 1, 'another bus works');
  });

  t.test('closing sends what was published, and other buses go on', async (t) => {
    const host = await open(t);
    const [closing, other] = [host.openBus(), host.openBus()];
    const received: unknown[] = [];
    await other.subscribe('/a', ({ data }) => received.push(data));
    await until(() => other.isConnected, 'the other one listens');
    const sent = [1, 2, 3].map((i) => closing.publish('/a', i));
    await closing.close();
    t.strictSame(await Promise.all(sent), [1, 2, 3]);
    t.equal(await other.publish('/a', 4), 4);
    await until(() => received.length === 4, 'it has all');
    t.strictSame(received, [1, 2, 3, 4]);
    t.ok(other.isConnected);
  });

  t.test('off: nothing is published or received; on: what was missed comes', async (t) => {
    const host = await open(t);
    const [bus, other] = [host.openBus(), host.openBus()];
    const [early, late]: [unknown[], unknown[]] = [[], []];
    await bus.subscribe('/a', ({ data }) => early.push(data));
    await until(() => bus.isConnected, 'it listens');
    bus.off();
    t.equal(bus.isConnected, false);
    t.equal(await bus.publish('/a', 'not published'), 0);
    t.equal(await other.publish('/a', 'by another'), 1);
    await bus.subscribe('/a', ({ data }) => late.push(data), { lastId: 0 });
    t.equal((await bus.backlog('/a')).length, 1);
    t.strictSame([early, late], [[], []]);
    bus.on();
    t.equal(await bus.publish('/a', 'after'), 2);
    await until(() => bus.isConnected && early.length === 2 && late.length === 2, 'what was missed came');
    t.strictSame(early, ['by another', 'after']);
    t.strictSame(late, ['by another', 'after']);
  });
}
