import type { MigrateReport } from '../database/migrate/migrate.js';
import { type Command, databaseOptions } from './command.js';
import { findDatabaseUrl } from './database-url.js';

export const migrateCommand: Command = {
  name: 'migrate',
  operands: '',
  summary: 'Creates the schema of the bus, or brings it up to date',
  details: `
Safe to run at any time, also by several at once. Without a database it is the embedded one that
postbus serve runs in this folder.
`,
  options: {
    print: { help: 'print the whole SQL for a new database instead, to be applied by hand' },
    ...databaseOptions,
  },
  async run(args) {
    args.noOperands();
    if (args.flag('print')) {
      const { printMigration } = await import('../database/migrate/migrate.js');
      process.stdout.write(await printMigration(args.schema));
      return;
    }
    const connectionString = await findDatabaseUrl(args);
    const { migrateDatabase } = await import('../database/migrate/migrate-database.js');
    process.stdout.write(describe(args.schema, await migrateDatabase(connectionString, args.schema)));
  },
};

function describe(schema: string, { wasCurrent, migrations, mended }: MigrateReport): string {
  if (wasCurrent) return `The schema ${schema} is up to date: nothing to do.\n`;
  return [
    ...migrations.map((name) => `Migrated: ${name}`),
    ...mended.map((what) => `Mended: ${what}`),
    `The schema ${schema} is up to date.`,
    '',
  ].join('\n');
}
