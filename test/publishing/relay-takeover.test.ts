import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { type BlackHole, startBlackHole } from '../helpers/black-hole.js';
import { createDatabase } from '../helpers/database.js';
import { NodeProcesses } from '../helpers/node-processes.js';
import { until } from '../helpers/until.js';

interface Scene {
  nodes: NodeProcesses;
  /** The process of the node that relays. */
  victim: number;
  /** Its way to the database. */
  way: BlackHole;
}

/** What takes the node that relays out of the game, and what brings it back, if anything does. */
interface Fate {
  name: string;
  begin: (scene: Scene) => void | Promise<void>;
  end?: (scene: Scene) => void;
}

const fates: Fate[] = [
  { name: 'is killed', begin: ({ nodes, victim }) => nodes.kill(victim) },
  {
    name: 'is stopped for a while',
    begin: ({ nodes, victim }) => nodes.signal(victim, 'SIGSTOP'),
    end: ({ nodes, victim }) => nodes.signal(victim, 'SIGCONT'),
  },
  {
    name: 'is cut off for a while, with its connections open',
    begin: ({ way }) => way.swallow(),
    end: ({ way }) => way.letThrough(),
  },
];

/** Puts down 1, 2, 3 … until it is stopped. */
function publish(t: Test, query: (text: string, values: unknown[]) => Promise<unknown>) {
  const publisher = { count: 0, stop: () => Promise.resolve() };
  let isWanted = true;
  const run = async () => {
    for (; isWanted; await delay(Math.random() * 8)) {
      await query(`select message_bus.publish_later('/a', to_jsonb($1::int))`, [publisher.count + 1]);
      publisher.count++;
    }
  };
  const running = run();
  publisher.stop = () => {
    isWanted = false;
    return running;
  };
  t.teardown(() => publisher.stop());
  return publisher;
}

for (const { name, begin, end } of fates) {
  t.test(`where the node that relays ${name}, another one does, and nothing comes twice`, async (t) => {
    const database = await createDatabase(t);
    const { query, url } = database;
    await query(
      'select message_bus.configure(relay => true, max_backlog_size => 100000, max_global_backlog_size => 100000)',
    );
    const nodes = new NodeProcesses(t, database);
    const way = await startBlackHole(t, url);
    const victim = nodes.start(way.url);
    await nodes.relaying([victim]);
    const other = nodes.start();
    const publisher = publish(t, query);
    const receivedBy = (pid: number) => nodes.received.get(pid) ?? [];
    await until(() => receivedBy(victim).length > 0 && receivedBy(other).length > 0, 'both receive');

    await begin({ nodes, victim, way });
    const begun = performance.now();
    // Put down from here on, so the victim has not published it.
    const next = publisher.count + 2;
    await until(() => receivedBy(other).includes(next), 'another one relays');
    t.comment(`${Math.round(performance.now() - begun)} ms until another one relays`);

    if (end) {
      end({ nodes, victim, way });
      const last = publisher.count + 20;
      await until(() => receivedBy(victim).includes(last), 'it is back');
      t.equal(await nodes.relaying([victim, other]), other, 'and relays no more');
    }
    await publisher.stop();
    await until(() => receivedBy(other).includes(publisher.count), 'all are received');
    const numbers = Array.from({ length: publisher.count }, (_, i) => i + 1);
    t.strictSame(receivedBy(other), numbers.slice(numbers.length - receivedBy(other).length), 'each once, in order');
    const published = await query(`select data from message_bus.backlog('/a')`);
    t.strictSame(
      published.map(({ data }) => data),
      numbers,
    );
    if (end) {
      await until(() => receivedBy(victim).includes(publisher.count), 'it receives all, too');
      t.strictSame(receivedBy(victim), numbers.slice(numbers.length - receivedBy(victim).length));
    }
  });
}
