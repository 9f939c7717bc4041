import { chownSync, closeSync, lchownSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from './errors.js';

/** Whom Postgres runs as where it cannot run as the user who starts it. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

const fallback: Account = { uid: 65_534, gid: 65_534 };

/** Undefined: Postgres runs as the user who starts it. Root hands it over to the owner of the data, or to nobody. */
export function accountFor(folder: string, data: string): Account | undefined {
  const self = process.geteuid?.();
  const owner = statSync(data, { throwIfNoEntry: false });
  if (self === 0) return owner && owner.uid !== 0 ? { uid: owner.uid, gid: owner.gid } : nobody();
  if (owner && owner.uid !== self) {
    const wayOut = 'start as that user or as root, move the folder away, or set DATABASE_URL';
    throw new Failure('POSTBUS_EMBEDDED_FOLDER', folder, `the data there belong to user ${owner.uid}: ${wayOut}`);
  }
  return undefined;
}

/** nobody has another number on some systems, and initdb insists on a user that has a name. */
function nobody(): Account {
  let users = '';
  try {
    users = readFileSync('/etc/passwd', 'utf8');
  } catch {
    return fallback;
  }
  const [uid, gid] = (/^nobody:[^:]*:(\d+:\d+):/m.exec(users)?.[1] ?? '').split(':').map(Number);
  return uid && gid ? { uid, gid } : fallback;
}

/** Does something with the rights of the account. Only for a process of its own: it changes the whole process for a moment. */
export function actingAs<T>(account: Account | undefined, action: () => T): T {
  if (!account) return action();
  const gid = process.getegid?.() ?? 0;
  try {
    process.setegid?.(account.gid);
    process.seteuid?.(account.uid);
  } catch (error) {
    throw notAllowed(account, error);
  }
  try {
    return action();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(gid);
  }
}

/** Root's further groups would open doors that Postgres finds shut, since it is started without them. */
export function leaveGroups(account: Account | undefined): void {
  if (!account) return;
  try {
    process.setgroups?.([]);
  } catch {
    // Not allowed in some containers: then Postgres keeps the groups as well.
  }
}

export function canRead(account: Account | undefined, path: string): boolean {
  return actingAs(account, () => {
    try {
      closeSync(openSync(path, 'r'));
      return true;
    } catch {
      return false;
    }
  });
}

export function giveTo(account: Account | undefined, path: string): void {
  if (!account) return;
  try {
    chownSync(path, account.uid, account.gid);
  } catch (error) {
    throw notAllowed(account, error);
  }
}

/** For data that were copied by root and so belong to root. */
export function giveTreeTo(account: Account, path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    if (entry.isDirectory()) giveTreeTo(account, inner);
    else lchownSync(inner, account.uid, account.gid);
  }
  giveTo(account, path);
}

function notAllowed(account: Account, error: unknown): Failure {
  return new Failure(
    'POSTBUS_EMBEDDED_ROOT',
    String(account.uid),
    error instanceof Error ? error.message : String(error),
  );
}
