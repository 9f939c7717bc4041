import { type Command, databaseOptions } from './command.js';
import { findDatabaseUrl } from './database-url.js';
import { withDatabase } from './with-database.js';

export const rotateKeyCommand: Command = {
  name: 'rotate-key',
  operands: '',
  summary: 'Gives the bus another NOTIFY channel and key; nodes follow at once',
  details: `
For the owner of the schema, after somebody has left who knew the key. No message is lost. What is
signed with the old key is not believed any more.
`,
  options: databaseOptions,
  async run(args) {
    args.noOperands();
    await withDatabase(await findDatabaseUrl(args), args.schema, async (database) => {
      await database.query(`select ${database.name('rotate_key')}()`);
    });
    process.stdout.write('The bus has another NOTIFY channel and key.\n');
  },
};
