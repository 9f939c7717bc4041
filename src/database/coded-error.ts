import { errors, isPostbusError } from '../foundation/errors.js';

/** What Postgres or the way to it says, as an error of the table. The first error stays as its `cause`. */
export function codedError(error: unknown, schema: string): Error {
  if (isPostbusError(error)) return error;
  const coded = translate(error, schema);
  if (coded !== error) coded.cause = error;
  return coded;
}

/** Whether Postgres, asked again, would refuse the same statement for what it says: no fault of the connection. */
export function isRefusal(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && /^(21|22|23|54|PB)/.test(state) && !(error instanceof errors.NOTIFY_QUEUE_FULL);
}

/** Whether the statement was undone for the sake of others and may be sent again as it is. */
export function isRetryable(error: unknown): boolean {
  const state = sqlState(error);
  return state === '40001' || state === '40P01';
}

/** Whether the statement took longer than `statement_timeout` lets it. */
export function isCanceled(error: unknown): boolean {
  return sqlState(error) === '57014';
}

/** Whether somebody held a lock for longer than the statement was to wait: nothing was done. */
export function isLockTimeout(error: unknown): boolean {
  return sqlState(error) === '55P03';
}

/** Whether a prepared statement was not where it was left: a pooler gives each transaction another connection. */
export function isLostStatement(error: unknown): boolean {
  const state = sqlState(error);
  return state === '26000' || state === '42P05';
}

function sqlState(error: unknown): string | undefined {
  const source = error instanceof Error && isPostbusError(error) ? error.cause : error;
  if (!(source instanceof Error) || !('code' in source) || typeof source.code !== 'string') return undefined;
  return /^[0-9A-Z]{5}$/.test(source.code) && 'severity' in source ? source.code : undefined;
}

function translate(error: unknown, schema: string): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  const message = messageOf(error);
  const state = sqlState(error);
  switch (state) {
    case undefined:
      if (/^Cannot use a pool after calling end|^PGlite is clos/.test(error.message)) return new errors.POOL_ENDED();
      // Of pg itself, before it has asked.
      if (/password must be a string/.test(message)) return new errors.BAD_CREDENTIALS('it wants a password');
      if (isUntrusted(error)) return new errors.NO_SERVER(`${message} (${trustHint})`);
      if (/does not support SSL connections/.test(message)) return new errors.NO_SERVER(`${message} (${noTlsHint})`);
      if (isUnreachable(error)) return new errors.NO_SERVER(message);
      return isLoss(error) ? new errors.CONNECTION_LOST(message) : error;
    case '28P01':
    case '28000':
      return new errors.BAD_CREDENTIALS(message);
    case '3D000':
      return new errors.NO_DATABASE(message);
    case 'PB003':
      return new errors.BEYOND_CAP(message);
    case 'PB007':
      return new errors.DATA_TOO_LARGE(message);
    case 'PB008':
      return new errors.MAY_NOT_SHRINK(message);
    case '3F000': // schema
    case '42883': // function
    case '42P01': // table
    case '42703': // column
    case '42704': // type
      return new errors.NO_SCHEMA(schema);
    case '42501':
      return new errors.NO_PERMISSION(message);
    case '54000':
      return isQueueFull(error) ? new errors.NOTIFY_QUEUE_FULL() : new errors.QUERY_FAILED(message);
    case '25006':
      return new errors.READ_ONLY(message);
    case '53100':
      return new errors.DISK_FULL(message);
    case '53300':
      return new errors.TOO_MANY_CONNECTIONS(message);
    case '57P04':
      return new errors.NO_DATABASE(message);
    case '57P03': // starting up, shutting down, or in recovery
      return new errors.NO_SERVER(message);
    case '55000':
      if (/recovery/.test(message)) return new errors.READ_ONLY(message);
      // A database that lets nobody in.
      return routineOf(error) === 'CheckMyDatabase' ? new errors.NO_SERVER(message) : new errors.QUERY_FAILED(message);
    case '40003': // whether it was done is not known
    case '57P01': // terminated by an administrator
    case '57P02': // crash of another backend
    case '57P05': // idle for too long
      return new errors.CONNECTION_LOST(message);
    default:
      return ofClass(state, message);
  }
}

/** The classes of Postgres' error codes, for what has none of its own above. */
function ofClass(state: string, message: string): Error {
  if (state.startsWith('08')) return new errors.CONNECTION_LOST(message);
  if (state.startsWith('53')) return new errors.OUT_OF_RESOURCES(message);
  if (/^(58|XX001|XX002)/.test(state)) return new errors.STORAGE_FAILED(message);
  if (isUndone(state)) return new errors.CANCELED(message);
  return new errors.QUERY_FAILED(message);
}

/** Deadlocks and conflicts that came again and again; timeouts of a statement, a lock or a transaction; canceled by hand. */
function isUndone(state: string): boolean {
  return state.startsWith('40') || ['57014', '55P03', '25P03', '25P04'].includes(state);
}

/** Commits fail with it. 54000 is also the state of content that is too large; the words may be in any language. */
function isQueueFull(error: Error): boolean {
  return routineOf(error) === 'PreCommit_Notify' || /NOTIFY queue/.test(error.message);
}

/** The C function of Postgres that raised the error: it has the same name in every language. */
function routineOf(error: Error): unknown {
  return 'routine' in error ? error.routine : undefined;
}

// Node tries each address of a host and hides what happened in `errors` of an AggregateError with no message.
function messageOf(error: Error): string {
  if (error instanceof AggregateError)
    return error.errors.map((each) => (each instanceof Error ? each.message : String(each))).join('; ');
  return error.message;
}

const unreachable = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'ENOENT',
  'EACCES',
]);

// Codes of Node and OpenSSL for certificates that are not trusted, and for talk that is no TLS.
const tlsFailure = /CERT|^ERR_(SSL|TLS)_|^UNABLE_TO_|^EPROTO$/;

// Codes of OpenSSL's verification, and of Node's for a certificate of another host.
const untrusted = /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|ERR_TLS_CERT_)/;
const trustHint =
  'TLS does not trust the server: name the file of its CA in the connection string, sslrootcert=/path/ca.pem, and the host that is in its certificate';
const noTlsHint =
  'turn on ssl in the settings of Postgres; or, if the network between is safe, say sslmode=disable in the connection string';

function isUntrusted(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isUntrusted);
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && untrusted.test(error.code);
}

function isUnreachable(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isUnreachable);
  if (!(error instanceof Error) || isUnderWay(error)) return false;
  if ('code' in error && typeof error.code === 'string' && (unreachable.has(error.code) || tlsFailure.test(error.code)))
    return true;
  // What pg and its pool say in words alone.
  return /timeout expired|timeout exceeded when trying to connect|due to connection timeout|SSL connection|before secure TLS connection/.test(
    error.message,
  );
}

// A connection that was there: what was sent on it may have arrived.
function isUnderWay(error: Error): boolean {
  return 'syscall' in error && (error.syscall === 'read' || error.syscall === 'write');
}

function isLoss(error: Error): boolean {
  if (isUnderWay(error)) return true;
  if ('code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE')) return true;
  return /^Connection terminated|^Connection ended|not queryable|^Query read timeout|was closed and is not/.test(
    error.message,
  );
}
