import type { Test } from 'tap';
import { DistributedCache } from '../../../src/distributed-cache/index.js';
import type { Gap } from '../../../src/index.js';
import { eventsOf, openBus } from '../../helpers/bus.js';
import type { TestDatabase } from '../../helpers/database.js';
import { RecordedClient, range } from '../../helpers/recorded-client.js';
import { listen } from '../../helpers/server.js';
import { until } from '../../helpers/until.js';

export const isGap = (each: unknown): each is Gap => typeof each === 'object' && each !== null && 'firstId' in each;

/** Publishes texts with numbers in one statement, as any application does in SQL. */
export async function publish({ query }: TestDatabase, channel: string, text: string, count: number): Promise<void> {
  await query(`select message_bus.publish($1, to_jsonb($2 || ' ' || i)) from generate_series(1, $3::int) i`, [
    channel,
    text,
    count,
  ]);
}

export const texts = (text: string, count: number) => range(1, count).map((i) => `${text} ${i}`);

/** A node with all kinds of readers on /a: what each has got, and the gaps that it was told of. */
export async function startReaders(t: Test, database: TestDatabase) {
  const bus = openBus(t, database.url);
  const told = eventsOf(bus);
  const { url } = await listen(t, { bus });
  const own: unknown[] = [];
  const all: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => own.push(data), { lastId: 0, onGap: (gap) => own.push(gap) });
  await bus.subscribe(null, ({ data }) => all.push(data), { lastId: 0, onGap: (gap) => all.push(gap) });
  const streaming = new RecordedClient(t, url);
  const polling = new RecordedClient(t, url, { enableChunkedEncoding: false });
  for (const { client } of [streaming, polling]) client.start();
  streaming.subscribe('/a', 0);
  polling.subscribe('/a', 0);
  const cache = await DistributedCache.open<string>(bus, 'cache');
  await until(() => bus.isConnected, 'it listens');
  const lists = () => [own, all, streaming.data, polling.data];
  return {
    bus,
    cache,
    told,
    own,
    all,
    lists,
    messages: () => lists().map((list) => list.filter((each) => !isGap(each) && typeof each === 'string')),
    /** Ends when all have got this message. */
    untilAllHave: (data: string) => until(() => lists().every((list) => list.includes(data)), `all have ${data}`),
    warnings: () =>
      bus.log.filter(({ details }) => 'err' in details && Object(details.err).code === 'POSTBUS_ANOTHER_PAST'),
  };
}
