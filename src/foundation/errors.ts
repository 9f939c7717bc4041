// A named import, because the types of the default import require esModuleInterop from applications that use a bundler.
import { createError } from '@fastify/error';

/**
 * Every error that postbus raises, in one table; docs/errors.md mirrors it. `statusCode` is the status with which HTTP
 * clients are answered; each `%s` stands for an argument of the message.
 */
export const errors = {
  // Arguments
  BAD_CHANNEL: createError<[string, string]>(
    'POSTBUS_BAD_CHANNEL',
    '%s: %s is not a channel. A channel has 1 to 255 characters, no control characters, and does not begin with __ or /__.',
    400,
  ),
  BAD_SITE: createError<[string]>(
    'POSTBUS_BAD_SITE',
    '%s: a site is a string of 1 to 255 characters without control characters. Leave it out for no site.',
    400,
  ),
  BAD_TARGETS: createError<[string, string]>('POSTBUS_BAD_TARGETS', '%s: %s.', 400),
  BAD_LIMIT: createError<[string, number]>(
    'POSTBUS_BAD_LIMIT',
    '%s: must be a whole number from 1 to %s. Leave it out for the bus-wide setting.',
    400,
  ),
  BAD_DATA: createError<[string]>('POSTBUS_BAD_DATA', 'data: %s.', 400),
  DATA_TOO_LARGE: createError<[string]>(
    'POSTBUS_DATA_TOO_LARGE',
    '%s. Publish a reference to what is stored elsewhere, or raise the limit: bus.configure({ maxDataSize }).',
    413,
  ),
  BEYOND_CAP: createError<[string]>(
    'POSTBUS_BEYOND_CAP',
    '%s. The caps of the whole bus are set by bus.configure({ backlogSizeCap, backlogAgeCap }).',
    400,
  ),
  MAY_NOT_SHRINK: createError<[string]>(
    'POSTBUS_MAY_NOT_SHRINK',
    '%s. Leave maxBacklogSize out, or grant the role EXECUTE on the function shrink_backlogs, see docs/roles.md.',
    403,
  ),
  UNDECODABLE: createError<[number, string, string]>(
    'POSTBUS_UNDECODABLE',
    'The codec of this bus cannot decode message %s of %s: %s.',
    500,
  ),
  BAD_ID: createError<[string, string]>('POSTBUS_BAD_ID', '%s: %s is not a message id. Give a whole number.', 400),
  BAD_OPTION: createError<[string, string]>('POSTBUS_BAD_OPTION', '%s: %s.', 500),
  REGISTERED_TWICE: createError<[]>(
    'POSTBUS_REGISTERED_TWICE',
    'The plugin is registered already in this application, or around this scope. Register it once; for another bus, register each in a scope of its own: app.register(async (scope) => scope.register(postbus, { bus })).',
    500,
  ),

  // Polls
  BAD_CLIENT_ID: createError<[number]>('POSTBUS_BAD_CLIENT_ID', 'client id: must have at most %s characters.', 400),
  BAD_BODY: createError<[string]>('POSTBUS_BAD_BODY', 'body: %s.', 400),
  TOO_BUSY: createError<[]>(
    'POSTBUS_TOO_BUSY',
    'This node answers as many polls as its memory allows. Poll again in some seconds; or raise maxWaitingChannels, or add nodes.',
    503,
  ),
  LOOKUP_FAILED: createError<[string]>(
    'POSTBUS_LOOKUP_FAILED',
    '%s failed; nothing was delivered. The log has its error.',
    500,
  ),
  POLL_FAILED: createError<[]>('POSTBUS_POLL_FAILED', 'The poll failed; the log of the server has the error.', 500),
  NO_CLIENT_ID: createError<[]>(
    'POSTBUS_NO_CLIENT_ID',
    'The path has no client id: …/message-bus/{client id}/poll.',
    404,
  ),

  // Database
  NO_SERVER: createError<[string]>(
    'POSTBUS_NO_SERVER',
    'No Postgres answers: %s. Check that it runs, and the connection string.',
    503,
  ),
  BAD_CREDENTIALS: createError<[string]>(
    'POSTBUS_BAD_CREDENTIALS',
    'Postgres refuses the login: %s. Check user and password in the connection string.',
    503,
  ),
  NO_DATABASE: createError<[string]>(
    'POSTBUS_NO_DATABASE',
    'Postgres has no such database: %s. Create it, or correct the connection string.',
    503,
  ),
  NOT_UTF8: createError<[string]>(
    'POSTBUS_NOT_UTF8',
    'The encoding of the database is %s. Create one with encoding UTF8.',
    503,
  ),
  NO_SCHEMA: createError<[string]>(
    'POSTBUS_NO_SCHEMA',
    'The schema "%s" is not there or not up to date. Run `npx postbus migrate`, or bus.migrate().',
    503,
  ),
  NEWER_SCHEMA: createError<[string, string]>(
    'POSTBUS_NEWER_SCHEMA',
    'The schema "%s" was migrated by a newer postbus (%s). Update this one.',
    503,
  ),
  UNSAFE_SCHEMA: createError<[string, string]>(
    'POSTBUS_UNSAFE_SCHEMA',
    'The schema "%s" cannot be trusted, as others than the role that migrates it could run code in it with the rights of those who use the bus: %s.',
    503,
  ),
  MIGRATION_LOCKED: createError<[string, string]>(
    'POSTBUS_MIGRATION_LOCKED',
    'The schema "%s" was not migrated, and nothing was changed: %s holds a lock that it needs. Migrate again when that has ended; pg_terminate_backend(pid) ends it.',
    503,
  ),
  DAMAGED_SCHEMA: createError<[string, string]>(
    'POSTBUS_DAMAGED_SCHEMA',
    'The schema "%s" is damaged, and migrate cannot mend it: %s. Restore it from a backup; or drop it and migrate, which begins anew.',
    503,
  ),
  READ_ONLY: createError<[string]>(
    'POSTBUS_READ_ONLY',
    'The database takes no changes: %s. Connect to the primary; or end what makes it read-only (default_transaction_read_only of the role or the database).',
    503,
  ),
  DISK_FULL: createError<[string]>(
    'POSTBUS_DISK_FULL',
    'Postgres has no space left: %s. Free or add some on the disk of its data folder.',
    503,
  ),
  TOO_MANY_CONNECTIONS: createError<[string]>(
    'POSTBUS_TOO_MANY_CONNECTIONS',
    'Postgres takes no more connections: %s. Raise max_connections, or the limit of the role or the database; or let fewer processes, or smaller pools, connect.',
    503,
  ),
  OUT_OF_RESOURCES: createError<[string]>(
    'POSTBUS_OUT_OF_RESOURCES',
    'Postgres ran out of memory or of another resource: %s. Nothing was changed. Its log says what for.',
    503,
  ),
  NOTIFY_QUEUE_FULL: createError<[]>(
    'POSTBUS_NOTIFY_QUEUE_FULL',
    'Nothing was published: the NOTIFY queue of Postgres is full, because a session that LISTENs does not take what was sent. End that session; docs/operating.md tells how to find it.',
    503,
  ),
  STORAGE_FAILED: createError<[string]>(
    'POSTBUS_STORAGE_FAILED',
    'Postgres cannot read or write its files: %s. Look after its disk; the log of Postgres says more.',
    503,
  ),
  CANCELED: createError<[string]>(
    'POSTBUS_CANCELED',
    'Postgres ended the statement before it was done, and undid it: %s. Try again; where a timeout ends it often, raise that of the role.',
    503,
  ),
  NO_PERMISSION: createError<[string]>(
    'POSTBUS_NO_PERMISSION',
    'The database role may not do this: %s. See docs/roles.md for the grants.',
    503,
  ),
  CONNECTION_LOST: createError<[string]>(
    'POSTBUS_CONNECTION_LOST',
    'The connection to Postgres broke: %s. A message that was under way may or may not have been published.',
    503,
  ),
  LOCKED: createError<[string, number]>(
    'POSTBUS_LOCKED',
    'The message to %s was not published: for %s ms a transaction that has published and not ended was in its way. End it (pg_stat_activity shows it), and publish at the end of transactions.',
    503,
  ),
  NOT_RELAYED: createError<[string]>(
    'POSTBUS_NOT_RELAYED',
    'Postgres refused to publish what publish_later had put down. It is kept, with the reason: select * from %s().',
    500,
  ),
  QUERY_FAILED: createError<[string]>('POSTBUS_QUERY_FAILED', 'Postgres refused: %s.', 500),
  NOT_LISTENING: createError<[]>(
    'POSTBUS_NOT_LISTENING',
    'The connection that listens to Postgres is down; what is published does not arrive until it is back.',
    503,
  ),
  POOL_ENDED: createError<[]>(
    'POSTBUS_POOL_ENDED',
    'The pool or PGlite that this bus was given has been ended. Close the bus first, then what it was given.',
    503,
  ),
  IN_TRANSACTION: createError<[number]>(
    'POSTBUS_IN_TRANSACTION',
    'Nothing was done: for %s ms a transaction was open on the PGlite that the application shares with the bus. End it first; or publish in it, by SQL.',
    503,
  ),
  NO_PGLITE: createError<[]>(
    'POSTBUS_NO_PGLITE',
    'The bus in memory needs the package @electric-sql/pglite: npm install --save-dev @electric-sql/pglite',
    500,
  ),
  DEAF: createError<[number]>(
    'POSTBUS_DEAF',
    'Notifications do not arrive: what this bus sent itself through Postgres has not come back for %s ms.',
    503,
  ),
  POOLER: createError<[]>(
    'POSTBUS_POOLER',
    'What is published does not arrive on the connection that listens: a pooler in transaction mode lies between, or it leads to another database. Set LISTEN_DATABASE_URL, or the option listenConnectionString, to an address of Postgres itself.',
    503,
  ),
  ANOTHER_PAST: createError<[]>(
    'POSTBUS_ANOTHER_PAST',
    'The database holds another past of the bus than before: a backup was restored, or tables were emptied. Subscribers are told of a gap, clients are given the new ids, and go on.',
    503,
  ),
  KEY_ROTATED: createError<[]>(
    'POSTBUS_KEY_ROTATED',
    'The bus has another NOTIFY channel or key than before; this node is about to listen there.',
    503,
  ),
  OFF: createError<[]>('POSTBUS_OFF', 'This bus is off. Turn it on with bus.on().', 503),
  CLOSED: createError<[]>('POSTBUS_CLOSED', 'This bus was closed. Create a new one with createBus().', 503),
  CACHE_CLOSED: createError<[]>(
    'POSTBUS_CACHE_CLOSED',
    'This cache was closed. Open a new one with DistributedCache.open().',
    503,
  ),

  // Server and command line
  NO_DATABASE_URL: createError<[string]>(
    'POSTBUS_NO_DATABASE_URL',
    'No database: set DATABASE_URL, or run `npx postbus serve` in this folder for an embedded one (%s).',
    500,
  ),
  CANNOT_LISTEN: createError<[string, string]>(
    'POSTBUS_CANNOT_LISTEN',
    'Cannot listen on %s: %s. Choose another address with --host and --port, or HOST and PORT.',
    500,
  ),
  EMBEDDED_GONE: createError<[]>(
    'POSTBUS_EMBEDDED_GONE',
    'The embedded Postgres has ended, and the server with it. The end of .postbus/postgres.log says why.',
    500,
  ),
  BAD_HOST: createError<[string]>(
    'POSTBUS_BAD_HOST',
    'This server does not serve the host %s. If the host is yours, name it in --hosts, or HOSTS.',
    421,
  ),
  SLOW_REQUEST: createError<[]>('POSTBUS_SLOW_REQUEST', 'The request did not come in in time.', 408),
  LARGE_HEAD: createError<[]>('POSTBUS_LARGE_HEAD', 'The head of the request is larger than 16 KiB.', 431),
  BAD_REQUEST: createError<[]>('POSTBUS_BAD_REQUEST', 'This is not a request of HTTP/1.1.', 400),
  STOPPING: createError<[]>(
    'POSTBUS_STOPPING',
    'This server is about to stop. Ask again: another one, or this one when it is back.',
    503,
  ),
  NO_ROUTE: createError<[]>('POSTBUS_NO_ROUTE', 'Nothing is served at this address.', 404),
  NOT_NOW: createError<[]>('POSTBUS_NOT_NOW', 'The server cannot do this at the moment. Its log says why.', 503),
};

export type PostbusErrorCode = `POSTBUS_${string}`;

/** An error with one of the codes of the table. */
export interface PostbusError extends Error {
  code: PostbusErrorCode;
  statusCode?: number;
}

/** True for an error of postbus, even of another installed copy of the package. */
export function isPostbusError(error: unknown): error is PostbusError {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('POSTBUS_');
}
