import { type Command, databaseOptions } from './command.js';
import { findDatabaseUrl } from './database-url.js';
import { withDatabase } from './with-database.js';

export const expireCommand: Command = {
  name: 'expire',
  operands: '',
  summary: 'Drops all messages of the bus; ids go on from where they were',
  details: `
Connected clients stay connected, and miss nothing that is published later.
`,
  options: databaseOptions,
  async run(args) {
    args.noOperands();
    await withDatabase(await findDatabaseUrl(args), args.schema, async (database) => {
      await database.query(`select ${database.name('expire_all_backlogs')}()`);
    });
    process.stdout.write('All messages are dropped.\n');
  },
};
