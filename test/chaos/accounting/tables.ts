import type pg from 'pg';
import { identify, nameOf, type Row } from './publication.js';

const columns = `global_id::float8 as "globalId", message_id::float8 as "messageId", channel, site_id as "siteId", data,
  user_ids as "userIds", group_ids as "groupIds", client_ids as "clientIds"`;

/** All messages that the tables hold, by global id. @throws if the channels hold others than the global window. */
export async function readTables(client: pg.Client): Promise<Row[]> {
  // One snapshot, because the relay may publish meanwhile.
  await client.query('begin isolation level repeatable read read only');
  const rows = await read(client, `select ${columns} from message_bus.global_backlog(0)`);
  const byPlace = new Map<string, Row[]>();
  for (const row of rows) {
    const list = byPlace.get(nameOf(row));
    if (list) list.push(row);
    else byPlace.set(nameOf(row), [row]);
  }
  for (const [name, expected] of byPlace) {
    const place = [expected[0]?.channel, expected[0]?.siteId];
    const backlog = await read(client, `select ${columns} from message_bus.backlog($1, 0, $2)`, place);
    if (JSON.stringify(backlog) !== JSON.stringify(expected)) {
      throw new Error(
        `${name}: backlog() has other messages (${backlog.length}) than global_backlog() (${expected.length})`,
      );
    }
  }
  await client.query('commit');
  return rows;
}

async function read(client: pg.Client, text: string, values: unknown[] = []): Promise<Row[]> {
  const { rows } = await client.query(text, values);
  return rows.map(({ data, ...row }) => ({ ...row, ...identify(data) }));
}
