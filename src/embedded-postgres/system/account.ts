import { closeSync, lstatSync, openSync, readFileSync } from 'node:fs';
import { Failure } from './errors.js';

/** Whom Postgres runs as where it cannot run as the user who starts it. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

const fallback: Account = { uid: 65_534, gid: 65_534 };

/**
 * Undefined: Postgres runs as the user who starts it. Root hands it over to the owner of the data, or to nobody. `owner`: as whom
 * this process acts in place of root.
 */
export function accountFor(folder: string, data: string, owner: Account | undefined): Account | undefined {
  const self = process.geteuid?.();
  const there = lstatSync(data, { throwIfNoEntry: false });
  if (there && !there.isDirectory()) {
    throw new Failure('POSTBUS_EMBEDDED_FOLDER', data, 'it is a link, or not a folder: move it away');
  }
  if (self === 0) return there && there.uid !== 0 ? accountOf(there.uid) : nobody();
  if (there && there.uid !== self) {
    const wayOut = 'start as that user or as root, move the folder away, or set DATABASE_URL';
    throw new Failure('POSTBUS_EMBEDDED_FOLDER', folder, `the data there belong to user ${there.uid}: ${wayOut}`);
  }
  return owner;
}

/**
 * The user with the group that the system has for it. The group of a folder is not taken: in some folders, whatever is made
 * has their group, which the user need not be in.
 */
export function accountOf(uid: number): Account {
  const [, gid] = new RegExp(`^[^:]*:[^:]*:${uid}:(\\d+):`, 'm').exec(readUsers()) ?? [];
  return { uid, gid: gid === undefined || gid === '0' ? fallback.gid : Number(gid) };
}

/** nobody has another number on some systems, and initdb insists on a user that has a name. */
function nobody(): Account {
  const [uid, gid] = (/^nobody:[^:]*:(\d+:\d+):/m.exec(readUsers())?.[1] ?? '').split(':').map(Number);
  return uid && gid ? { uid, gid } : fallback;
}

function readUsers(): string {
  try {
    return readFileSync('/etc/passwd', 'utf8');
  } catch {
    return '';
  }
}

/** From here on this process, which root has started, has the rights of the account alone, except in asRoot(). */
export function becomeOwner(account: Account): void {
  leaveGroups(account);
  become(account);
}

/** Does what takes root's rights in a process that acts as somebody else. */
export function asRoot<T>(action: () => T): T {
  const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  if (uid === 0 || process.getuid?.() !== 0) return action();
  process.seteuid?.(0);
  process.setegid?.(0);
  try {
    return action();
  } finally {
    process.setegid?.(gid);
    process.seteuid?.(uid);
  }
}

/** Does something with the rights of the account. Only for a process of its own: it changes the whole process for a moment. */
export function actingAs<T>(account: Account | undefined, action: () => T): T {
  if (!account || process.geteuid?.() !== 0) return action();
  const gid = process.getegid?.() ?? 0;
  become(account);
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

function become(account: Account): void {
  try {
    process.setegid?.(account.gid);
    process.seteuid?.(account.uid);
  } catch (error) {
    throw notAllowed(account, error);
  }
}

function notAllowed(account: Account, error: unknown): Failure {
  return new Failure(
    'POSTBUS_EMBEDDED_ROOT',
    String(account.uid),
    error instanceof Error ? error.message : String(error),
  );
}
