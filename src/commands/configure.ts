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
    'max-data-size': { value: 'bytes', help: 'text that the data of a message may have; 1048576, 1 MiB, at first' },
    'backlog-size-cap': { value: 'n', help: 'largest max-backlog-size that a publish may name; 100000 at first' },
    'backlog-age-cap': {
      value: 's',
      help: 'largest max-backlog-age that a publish may name; 31536000, a year, at first',
    },
    relay: { value: 'true|false', help: 'whether nodes publish what publish_later() has queued; false at first' },
    'clear-every': { value: 'n', help: 'publications between two clean-ups; 100 at first' },
    ...databaseOptions,
  },
  async run(args) {
    args.noOperands();
    const changes = Object.keys(configureCommand.options)
      .filter((name) => !(name in databaseOptions))
      .map((name) => ({
        parameter: name.replaceAll('-', '_'),
        value: name === 'relay' ? args.boolean(name) : args.integer(name, 1),
      }))
      .filter(({ value }) => value !== undefined);
    await withDatabase(await findDatabaseUrl(args), args.schema, async (database) => {
      if (changes.length > 0) {
        const parameters = changes.map(({ parameter }, i) => `${parameter} => $${i + 1}`).join(', ');
        await database.query(
          `select ${database.name('configure')}(${parameters})`,
          changes.map(({ value }) => value),
        );
      }
      const [settings] = await database.query(`select * from ${database.name('configuration')}()`);
      process.stdout.write(`${JSON.stringify(settings)}\n`);
    });
  },
};
