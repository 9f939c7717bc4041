import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import pg from 'pg';
import { errors } from '../foundation/errors.js';

type Option = 'connectionString' | 'listenConnectionString';

/**
 * Checks a connection string; pg would report a bad one only at the first connection, with the message of its URL
 * parser.
 *
 * @throws POSTBUS_BAD_OPTION
 */
export function checkConnectionString(connectionString: unknown, option: Option): void {
  if (connectionString === undefined) return;
  if (typeof connectionString === 'string') checkFiles(connectionString, option);
  try {
    // pg accepts any text, and then looks for a host that nobody has named, or connects to this machine.
    if (typeof connectionString === 'string' && /^(\/|socket:|postgres(ql)?:\/\/)/i.test(connectionString)) {
      new pg.Client({ connectionString });
      return;
    }
  } catch (error) {
    // The message of pg may hold the password, so it is not repeated.
    if (error instanceof Error && /requires specifying a CA/.test(error.message))
      throw new errors.BAD_OPTION(
        option,
        'has sslmode=verify-ca, which needs the file of a CA: sslrootcert=/path/ca.pem',
      );
  }
  throw new errors.BAD_OPTION(
    option,
    'must be a URL such as postgres://user:password@host:5432/database, without spaces or quotes around it',
  );
}

/**
 * Checks the TLS files that a URL names: pg would read them when it parses the URL, and TLS would fail with a file that
 * is no certificate.
 *
 * @throws POSTBUS_BAD_OPTION
 */
function checkFiles(connectionString: string, option: Option): void {
  if (!URL.canParse(connectionString)) return;
  const { searchParams } = new URL(connectionString);
  const files: Record<string, string> = {};
  for (const [parameter, check] of Object.entries(checks)) {
    const path = searchParams.get(parameter);
    if (!path) continue;
    try {
      files[parameter] = readFileSync(path, 'utf8');
    } catch (error) {
      if (parameter === 'sslrootcert' && path === 'system') throw new errors.BAD_OPTION(option, systemHint);
      throw new errors.BAD_OPTION(option, `names a file in ${parameter} that cannot be read (${reasonOf(error)})`);
    }
    try {
      check(files[parameter]);
    } catch (error) {
      throw new errors.BAD_OPTION(option, `names a file in ${parameter} that TLS does not take (${reasonOf(error)})`);
    }
  }
  const { sslcert: cert, sslkey: key } = files;
  if ((cert === undefined) !== (key === undefined)) {
    const [given, missing] = cert === undefined ? ['sslkey', 'sslcert'] : ['sslcert', 'sslkey'];
    throw new errors.BAD_OPTION(option, `has ${given} without ${missing}: TLS needs both files to show a certificate`);
  }
  try {
    // This throws if certificate and key do not belong together.
    if (cert !== undefined && key !== undefined) createSecureContext({ cert, key });
  } catch (error) {
    throw new errors.BAD_OPTION(option, `names sslcert and sslkey that TLS does not take (${reasonOf(error)})`);
  }
}

const systemHint =
  'has sslrootcert=system, which only libpq knows. Leave it out: sslmode=verify-full trusts the CAs of Node, and those in the file that NODE_EXTRA_CA_CERTS names';

/**
 * Checks by parameter. TLS would ignore a file that is empty or no certificate, and then trust no server, or show it no
 * certificate.
 */
const checks = {
  sslrootcert: (pem: string) => new X509Certificate(pem),
  sslcert: (pem: string) => new X509Certificate(pem),
  sslkey: (pem: string) => createPrivateKey(pem),
};

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
