import { normalizeHost } from '../server/host-check.js';
import { type Command, databaseOptions, environment, listenOption, ToldError, UsageError } from './command.js';
import { givenDatabaseUrl, givenListenUrl } from './database-url.js';

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];

export const serveCommand: Command = {
  name: 'serve',
  operands: '',
  summary: 'Serves polls over HTTP',
  details: `
Without a database it starts a Postgres of its own, which keeps its data in .postbus/ of the current
folder. Creates the schema, or brings it up to date. Prints its address when it is ready; logs, and
why it cannot start, go to stderr as JSON. GET /health/live and GET /health/ready tell how it is.
SIGINT or SIGTERM stops it.

Environment: DATABASE_URL, LISTEN_DATABASE_URL, NO_MIGRATE, WAIT_FOR_DATABASE, HOST, PORT,
CORS_ORIGINS, HOSTS, MAX_ACTIVE_CLIENTS, MAX_WAITING_CHANNELS, MAX_CHANNELS, BODY_LIMIT, LOG_LEVEL
(${logLevels.join(', ')}; default: warn)
`,
  options: {
    demo: { help: 'serve a chat page on /, where everyone can publish to /chat' },
    host: { value: 'host', help: 'the address to listen on; default: HOST, or 127.0.0.1' },
    port: { value: 'port', help: 'the port to listen on, 0 for a free one; default: PORT, or 3000' },
    'cors-origins': { value: 'list', help: 'origins whose pages may poll, or *; default: CORS_ORIGINS, or none' },
    'max-active-clients': {
      value: 'n',
      help: 'polls that may wait; further ones are answered at once; default: MAX_ACTIVE_CLIENTS, or 100000',
    },
    'max-waiting-channels': {
      value: 'n',
      help: 'channels that they may wait on together; default: MAX_WAITING_CHANNELS, or 200000',
    },
    'max-channels': { value: 'n', help: 'channels that one poll may name; default: MAX_CHANNELS, or 200' },
    'body-limit': { value: 'bytes', help: 'size that the body of a poll may have; default: BODY_LIMIT, or 65536' },
    hosts: {
      value: 'list',
      help: 'hosts that requests may name besides localhost, or *; default: HOSTS, or none on loopback, all elsewhere',
    },
    'no-migrate': { help: 'leave the schema as it is, and check it; default: NO_MIGRATE, or migrate' },
    'wait-for-database': {
      value: 's',
      help: 'seconds to wait for a database that is not there yet; default: WAIT_FOR_DATABASE, or 30',
    },
    workers: { value: 'n', help: 'processes that serve the port; default: 1' },
    ...databaseOptions,
    ...listenOption,
  },
  async run(args) {
    args.noOperands();
    const logLevel = environment('LOG_LEVEL') ?? 'warn';
    if (!logLevels.includes(logLevel)) {
      throw new UsageError(`LOG_LEVEL must be one of ${logLevels.join(', ')}, not ${logLevel}`);
    }
    const options = {
      databaseUrl: givenDatabaseUrl(args),
      listenDatabaseUrl: givenListenUrl(args),
      schema: args.schema,
      migrates: !args.flagOrVariable('no-migrate'),
      waitForDatabase: args.integerOrVariable('wait-for-database', 0, 86_400) ?? 30,
      demo: args.flag('demo'),
      corsOrigins: (args.list('cors-origins') ?? environment('CORS_ORIGINS')?.split(',') ?? []).map(checkOrigin),
      hosts: (args.list('hosts') ?? environment('HOSTS')?.split(','))?.map(checkHost),
      host: args.text('host') ?? environment('HOST') ?? '127.0.0.1',
      port: args.integerOrVariable('port', 0, 65_535) ?? 3000,
      limits: {
        maxActiveClients: args.integerOrVariable('max-active-clients', 0),
        maxWaitingChannels: args.integerOrVariable('max-waiting-channels', 0),
        maxChannels: args.integerOrVariable('max-channels', 1),
        bodyLimit: args.integerOrVariable('body-limit', 1),
      },
      logLevel,
      workers: args.integer('workers', 1, 1024) ?? 1,
    };
    const { serve } = await import('../server/serve.js');
    try {
      await serve(options);
    } catch (error) {
      const { logFailure } = await import('../server/log.js');
      logFailure(logLevel, error);
      throw new ToldError();
    }
  },
};

/** Checks a host: a name or an address, as in the Host header but without a port. @throws UsageError */
function checkHost(host: string): string {
  const bracketed = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  if (host === '*' || (normalizeHost(bracketed) !== undefined && !/:\d*$/.test(bracketed))) return bracketed;
  throw new UsageError(`a host looks like example.org or 192.168.1.7, not ${host}`);
}

/**
 * Checks an origin. It must look as browsers send it: with a slash at its end, it would match none.
 *
 * @throws UsageError
 */
function checkOrigin(origin: string): string {
  if (origin === '*' || (URL.canParse(origin) && new URL(origin).origin === origin)) return origin;
  throw new UsageError(`an origin looks like https://example.org, not ${origin}`);
}
