import { errors, isPostbusError } from '../foundation/errors.js';

/**
 * Translates an error of Postgres, or of the connection to it, to one of the table of errors. The original error is its
 * `cause`.
 */
export function codedError(error: unknown, schema: string): Error {
  if (isPostbusError(error)) return error;
  const coded = translate(error, schema);
  if (coded !== error) coded.cause = error;
  return coded;
}

/** True if Postgres would refuse the same statement again for its content. False if the connection is at fault. */
export function isRefusal(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && /^(21|22|23|54|PB)/.test(state) && !(error instanceof errors.NOTIFY_QUEUE_FULL);
}

/**
 * True if Postgres rolled the statement back for the sake of another transaction (deadlock or serialization failure):
 * it may be sent again as it is.
 */
export function isRetryable(error: unknown): boolean {
  const state = sqlState(error);
  return state === '40001' || state === '40P01';
}

/** True if the statement was canceled, for example because it took longer than `statement_timeout`. */
export function isCanceled(error: unknown): boolean {
  return sqlState(error) === '57014';
}

/** True if another transaction held a lock for longer than `lock_timeout`: nothing was done. */
export function isLockTimeout(error: unknown): boolean {
  return sqlState(error) === '55P03';
}

/** True if a prepared statement is missing, or there already: a pooler gives each transaction another connection. */
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
      // An error of pg itself: it has not logged in.
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
      // The database does not allow connections (datallowconn = false).
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

/** Translates an SQLSTATE by its class, if it has no case of its own above. */
function ofClass(state: string, message: string): Error {
  if (state.startsWith('08')) return new errors.CONNECTION_LOST(message);
  if (state.startsWith('53')) return new errors.OUT_OF_RESOURCES(message);
  if (/^(58|XX001|XX002)/.test(state)) return new errors.STORAGE_FAILED(message);
  if (isUndone(state)) return new errors.CANCELED(message);
  return new errors.QUERY_FAILED(message);
}

/**
 * True for deadlocks and serialization failures that came again and again, for timeouts of a statement, a lock or a
 * transaction, and for statements that somebody has canceled.
 */
function isUndone(state: string): boolean {
  return state.startsWith('40') || ['57014', '55P03', '25P03', '25P04'].includes(state);
}

/**
 * True if the NOTIFY queue is full, which fails commits. 54000 is also the SQLSTATE of content that is too large, and
 * the message may be in any language.
 */
function isQueueFull(error: Error): boolean {
  return routineOf(error) === 'PreCommit_Notify' || /NOTIFY queue/.test(error.message);
}

/** Returns the C function of Postgres that raised the error, which has the same name in every language. */
function routineOf(error: Error): unknown {
  return 'routine' in error ? error.routine : undefined;
}

// Node tries each address of a host, and then throws an AggregateError without a message: the failures are in its
// `errors`.
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

// Codes of Node and OpenSSL for untrusted certificates, and for a server that does not speak TLS.
const tlsFailure = /CERT|^ERR_(SSL|TLS)_|^UNABLE_TO_|^EPROTO$/;

// Codes of OpenSSL's verification, and of Node for a certificate that names another host.
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
  // pg and its pool have no codes for these failures, only messages.
  return /timeout expired|timeout exceeded when trying to connect|due to connection timeout|SSL connection|before secure TLS connection/.test(
    error.message,
  );
}

// True if an open connection broke: a statement that was sent on it may have arrived.
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
