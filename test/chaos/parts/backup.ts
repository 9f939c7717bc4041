import { printMigration } from '../../../src/database/migrate/migrate.js';
import type { ChaosPostgres } from './postgres.js';

/** How rows come back. All of it in one transaction, and no connection is cut. */
export type Filling = 'drop the schema' | 'truncate the tables';

/**
 * What a dump keeps of a bus, in the schema `backup` of the same database: there is a pg_dump for every version of Postgres on no
 * machine, and these statements do what its files do.
 */
export class Backup {
  constructor(private readonly postgres: ChaosPostgres) {}

  async take(): Promise<void> {
    const tables = await this.#tables('message_bus');
    const copies = tables.map((table) => `create table backup.${table} as table message_bus.${table};`);
    await this.postgres.query(`
      begin isolation level repeatable read;
      drop schema if exists backup cascade;
      create schema backup;
      ${copies.join('\n')}
      create table backup_sequences as
        select sequencename as name, coalesce(last_value, 1) as value, last_value is not null as is_called
        from pg_sequences where schemaname = 'message_bus';
      alter table backup_sequences set schema backup;
      commit`);
  }

  async restore(filling: Filling): Promise<void> {
    const tables = (await this.#tables('backup')).filter((table) => table !== 'backup_sequences');
    const list = tables.map((table) => `message_bus.${table}`).join(', ');
    const fill = tables.map(
      (table) => `insert into message_bus.${table} overriding system value select * from backup.${table};`,
    );
    await this.postgres.query(`
      begin;
      ${filling === 'drop the schema' ? await this.#newSchema() : ''}
      truncate ${list};
      ${fill.join('\n')}
      select setval(format('message_bus.%I', name)::regclass, value, is_called) from backup.backup_sequences;
      commit`);
  }

  async #newSchema(): Promise<string> {
    const text = (await printMigration('message_bus')).replace(/^(begin|commit);$/gm, '');
    return `drop schema message_bus cascade;\n${text}`;
  }

  /** All but those of the outbox, which are empty then, and have a type of the schema that would go with it. */
  async #tables(schema: string): Promise<string[]> {
    const text = `select tablename as name from pg_tables
      where schemaname = $1 and tablename not in ('outbox', 'relay_outbox', 'refusals') order by 1`;
    return (await this.postgres.query<{ name: string }>(text, [schema])).map(({ name }) => name);
  }
}
