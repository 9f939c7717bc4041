import { text } from 'node:stream/consumers';
import { type Arguments, type Command, databaseOptions, UsageError } from './command.js';
import { findDatabaseUrl } from './database-url.js';
import { withDatabase } from './with-database.js';

export const publishCommand: Command = {
  name: 'publish',
  operands: '<channel> <json>',
  summary: 'Publishes a message and prints its id',
  details: `
  postbus publish /chat '{"from": "shell", "text": "hello"}'
  postbus publish /builds/7 '"done"'
  git log -1 --format=%B | jq --raw-input --slurp . | postbus publish /commits -

- instead of the JSON reads it from stdin. Without a database it is the embedded one that
postbus serve runs in this folder.
`,
  options: {
    'user-ids': { value: 'a,b', help: 'only for these users, or the members of --group-ids' },
    'group-ids': { value: 'a,b', help: 'only for the members of these groups, or for --user-ids' },
    'client-ids': { value: 'a,b', help: 'only for these clients' },
    'site-id': { value: 'site', help: 'the tenant; default: none' },
    'max-backlog-size': { value: 'n', help: 'keep this many messages in the channel from here on' },
    'max-backlog-age': { value: 's', help: 'let this message be read for so many seconds' },
    ...databaseOptions,
  },
  async run(args) {
    const [channel, given] = args.operands;
    if (channel === undefined || given === undefined || args.operands.length > 2) {
      throw new UsageError('give a channel and one piece of JSON');
    }
    const values = [
      channel,
      checkJson(given === '-' ? await text(process.stdin) : given),
      args.list('user-ids'),
      args.list('group-ids'),
      args.list('client-ids'),
      args.text('site-id'),
      args.integer('max-backlog-size', 1),
      args.integer('max-backlog-age', 1),
    ];
    process.stdout.write(`${await publish(args, values)}\n`);
  },
};

/** Publishes by SQL and not by a bus, because JSON.parse would change large numbers in the data. */
async function publish(args: Arguments, values: unknown[]): Promise<number | undefined> {
  return withDatabase(await findDatabaseUrl(args), args.schema, async (database) => {
    const rows = await database.query<{ id: number }>(
      `select ${database.name('publish')}($1, $2, $3, $4, $5, $6, $7, $8) as id`,
      values,
    );
    return rows[0]?.id;
  });
}

function checkJson(data: string): string {
  try {
    JSON.parse(data);
    return data;
  } catch {
    const shown = data.length > 60 ? `${data.slice(0, 60)}…` : data;
    throw new UsageError(`${shown} is not JSON. A string needs quotes of its own: '"hello"'`);
  }
}
