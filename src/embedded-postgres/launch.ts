import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accountFor, leaveGroups } from './account.js';
import { locateBinaries, prepareBinaries } from './binaries.js';
import { serverUrl } from './connection.js';
import { prepareData } from './data-folder.js';
import { claimFolder } from './folder-claim.js';
import type { Postmaster } from './postmaster.js';
import { readLastPort, writeUrl } from './private-files.js';
import type { Report, Request } from './protocol.js';
import { startServer } from './server.js';
import { openServerLog } from './server-log.js';
import { TemporaryFolders } from './temporary.js';

export type Undo = () => void | Promise<void>;

/** From a request to a server that accepts connections. `undo` collects what has to be done at the end, last first. */
export async function launch(
  { parent, folder: wanted, port: wantedPort, settings }: Request,
  signal: AbortSignal,
  undo: Undo[],
): Promise<{ report: Report; postmaster: Postmaster }> {
  const packageFolder = locateBinaries(import.meta.url);
  const temporary = new TemporaryFolders();
  undo.push(() => temporary.remove());

  const folder = wanted ?? temporary.create(tmpdir());
  mkdirSync(folder, { recursive: true });
  const claim = await claimFolder(folder, parent, signal);
  undo.push(() => claim.release());
  signal.addEventListener('abort', () => claim.stopping(), { once: true });

  const data = join(folder, 'data');
  const account = accountFor(folder, data);
  leaveGroups(account);
  const log = openServerLog(join(folder, 'postgres.log'));
  undo.push(() => log.close());

  const binaries = prepareBinaries(packageFolder, account, temporary);
  signal.throwIfAborted();
  // Nobody waits for the disk who does not mind losing the data.
  const durable = wanted !== undefined && settings.fsync !== 'off';
  const password = await prepareData({ folder, data, durable, account, binaries, log });
  const { port, postmaster } = await startServer(
    { folder, data, password, port: wantedPort, lastPort: readLastPort(folder), settings, account, binaries, log },
    signal,
  );
  undo.push(() => postmaster.stop());
  claim.running();
  void postmaster.ended.then(() => claim.stopping());

  const url = serverUrl(port, password);
  if (wanted !== undefined) writeUrl(folder, url);
  const postmasterPid = postmaster.pid ?? 0;
  return { report: { type: 'ready', url, port, postmasterPid, data, temporary: temporary.paths }, postmaster };
}
