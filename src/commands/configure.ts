import { type Command, databaseOptions } from './command.js';
import { findDatabaseUrl } from './database-url.js';
import { withDatabase } from './with-database.js';

export const configureCommand: Command = {
  name: 'configure',
  operands: '',
  summary: 'Changes bus-wide settings, and prints all of them',
  details: `
  postbus configure --max-backlog-size 500 --max-backlog-age 86400

Readers see no more than the new limits at once. What is not given stays as it is.
`,
  options: {
    'max-backlog-size': { value: 'n', help: 'messages that each channel keeps; 1000 at first' },
    'max-global-backlog-size': { value: 'n', help: 'messages of the global backlog; 2000 at first' },
    'max-backlog-age': { value: 's', help: 'seconds for which a message can be read; 604800, 7 days, at first' },
    'clear-every': { value: 'n', help: 'publications between two clean-ups; 100 at first' },
    ...databaseOptions,
  },
  async run(args) {
    args.noOperands();
    const values = ['clear-every', 'max-backlog-size', 'max-global-backlog-size', 'max-backlog-age'].map((name) =>
      args.integer(name, 1),
    );
    await withDatabase(await findDatabaseUrl(args), args.schema, async (database) => {
      if (values.some((value) => value !== undefined)) {
        await database.query(`select ${database.name('configure')}($1, $2, $3, $4)`, values);
      }
      const [settings] = await database.query(`select * from ${database.name('configuration')}()`);
      process.stdout.write(`${JSON.stringify(settings)}\n`);
    });
  },
};
