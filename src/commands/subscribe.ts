import { once } from 'node:events';
import type { Logger } from '../foundation/logger.js';
import type { Message } from '../messages/message.js';
import { listenForStopSignals } from '../server/processes/stop-signals.js';
import { type Command, databaseOptions, listenOption, UsageError } from './command.js';
import { findDatabaseUrl, givenListenUrl } from './database-url.js';

export const subscribeCommand: Command = {
  name: 'subscribe',
  operands: '<channel…>',
  summary: 'Prints messages as they come, one line of JSON each',
  details: `
  postbus subscribe /chat --last-id=-11

It goes on until SIGINT or SIGTERM, and through restarts of the database. Without a database it is the
embedded one that postbus serve runs in this folder.
`,
  options: {
    all: { help: 'all channels of all sites, instead of channels' },
    'last-id': {
      value: 'id',
      help: 'start after this message (with --all: global id); -1 from now on, the default; -2 with the last one …',
    },
    'site-id': { value: 'site', help: 'the tenant of the channels; default: none' },
    ...databaseOptions,
    ...listenOption,
  },
  async run(args) {
    const all = args.flag('all');
    if (all === args.operands.length > 0) throw new UsageError('give the channels, or --all');
    const siteId = args.text('site-id');
    if (all && siteId !== undefined) throw new UsageError('--all and --site-id do not go together');
    const lastId = args.integer('last-id', -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);

    const listenConnectionString = givenListenUrl(args);
    const connectionString = await findDatabaseUrl(args);

    const { createBus } = await import('../bus/create-bus.js');
    const signals = listenForStopSignals();
    const bus = createBus({ connectionString, listenConnectionString, schema: args.schema, logger });
    try {
      const channels = all ? [null] : args.operands;
      const started = Promise.all(channels.map((channel) => bus.subscribe(channel, print, { lastId, siteId })));
      await Promise.race([signals.requested, started]);
      await signals.requested;
    } finally {
      await bus.close();
    }
  },
};

const logger: Logger = { warn: log, error: log };

function log(details: object, message: string): void {
  const reason = 'err' in details && details.err instanceof Error ? `: ${details.err.message}` : '';
  process.stderr.write(`postbus: ${message}${reason}\n`);
}

/** Prints a message. Waits until its reader has room, so that the next message waits, too. */
async function print(message: Message): Promise<void> {
  const { globalId, messageId, channel, siteId, data, userIds, groupIds, clientIds } = message;
  const line = JSON.stringify({
    global_id: globalId,
    message_id: messageId,
    channel,
    site_id: siteId,
    data,
    user_ids: userIds,
    group_ids: groupIds,
    client_ids: clientIds,
  });
  if (!process.stdout.write(`${line}\n`)) await once(process.stdout, 'drain');
}
