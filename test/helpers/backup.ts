import { printMigration } from '../../src/database/migrate/migrate.js';
import type { TestDatabase } from './database.js';

// All but those of the outbox.
const tables = ['incarnation', 'settings', 'bus', 'sweep', 'relaying', 'channels', 'messages', 'global_ring'];

/** How a backup comes back. All of it in one transaction, and no connection is cut. */
export type Way =
  | 'the schema is dropped and restored'
  | 'tables are truncated and filled'
  | 'rows are deleted and filled';

/** What pg_dump keeps of a bus, kept in a schema of the same database: no pg_dump is needed. */
export class Backup {
  constructor(
    private readonly database: TestDatabase,
    private readonly schema = 'backup',
  ) {}

  async take(): Promise<void> {
    const copies = tables.map((table) => `create table ${this.schema}.${table} as table message_bus.${table};`);
    await this.database.query(`drop schema if exists ${this.schema} cascade; create schema ${this.schema}; ${copies.join('\n')}
      create table ${this.schema}.newest as select last_value from message_bus.newest_global_id;
      create table ${this.schema}.newest_channel as select max(id) as id from message_bus.channels;`);
  }

  /** `then`: statements of the same transaction. */
  async restore(way: Way, then = ''): Promise<void> {
    const schema = (await printMigration('message_bus')).replace(/^(begin|commit);$/gm, '');
    const empty: Record<Way, string> = {
      'the schema is dropped and restored': `drop schema message_bus cascade; ${schema} truncate ${list()};`,
      'tables are truncated and filled': `truncate ${list()};`,
      'rows are deleted and filled': tables.map((table) => `delete from message_bus.${table};`).join('\n'),
    };
    const fill = tables.map(
      (table) => `insert into message_bus.${table} overriding system value select * from ${this.schema}.${table};`,
    );
    // A restore takes its time.
    await this.database.query(`begin; select pg_sleep(0.5); ${empty[way]} ${fill.join('\n')}
      select setval('message_bus.newest_global_id', last_value) from ${this.schema}.newest;
      select setval(pg_get_serial_sequence('message_bus.channels', 'id'), id) from ${this.schema}.newest_channel;
      ${then}; commit`);
  }
}

function list(): string {
  return tables.map((table) => `message_bus.${table}`).join(', ');
}
