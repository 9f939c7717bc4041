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
    const { createBus, printMigration } = await import('../index.js');
    if (args.flag('print')) {
      process.stdout.write(await printMigration(args.schema));
      return;
    }
    const bus = createBus({ connectionString: await findDatabaseUrl(args), schema: args.schema });
    try {
      await bus.migrate();
    } finally {
      await bus.close();
    }
    process.stdout.write(`The schema ${args.schema} is up to date.\n`);
  },
};
