import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { locateBinaries, prepareBinaries } from './binaries/binaries.js';
import { prepareData } from './folder/data-folder.js';
import { claimFolder } from './folder/folder-claim.js';
import { openPlace, type Place } from './folder/folder-place.js';
import { readLastPort, writeGitignore, writeUrl } from './folder/private-files.js';
import type { Report, Request } from './protocol.js';
import { serverUrl } from './server/connection.js';
import type { Postmaster } from './server/postmaster.js';
import { startServer } from './server/server.js';
import { accountFor, asRoot, leaveGroups } from './system/account.js';
import { Failure, toFailure } from './system/errors.js';
import { openServerLog } from './system/server-log.js';
import { TemporaryFolders } from './system/temporary.js';

export type Undo = () => void | Promise<void>;

interface Launched {
  report: Report;
  postmaster: Postmaster;
}

/** From a request to a server that accepts connections. `undo` collects what has to be done at the end, last first. */
export async function launch(request: Request, signal: AbortSignal, undo: Undo[]): Promise<Launched> {
  const temporary = new TemporaryFolders();
  undo.push(() => asRoot(() => temporary.remove()));
  const folder = request.folder ?? temporary.create(tmpdir());
  const place = openPlace(folder);
  try {
    return await launchIn(place, { ...request, folder }, request.folder !== undefined, temporary, signal, undo);
  } catch (error) {
    // Errors name the folder as everybody else knows it.
    const { code, details } = toFailure(error, folder);
    throw new Failure(code, ...details.map((detail) => detail.replaceAll(place.path, folder)));
  }
}

async function launchIn(
  place: Place,
  { parent, folder, port: wantedPort, settings }: Request & { folder: string },
  isKept: boolean,
  temporary: TemporaryFolders,
  signal: AbortSignal,
  undo: Undo[],
): Promise<Launched> {
  const { path, owner } = place;
  const packageFolder = locateBinaries(import.meta.url);
  const claim = await claimFolder(path, parent, signal);
  undo.push(() => claim.release());
  signal.addEventListener('abort', () => claim.stopping(), { once: true });
  if (isKept) writeGitignore(path);

  const data = join(path, 'data');
  const account = accountFor(path, data, owner);
  leaveGroups(account);
  const log = openServerLog(join(path, 'postgres.log'));
  undo.push(() => log.close());

  const binaries = asRoot(() => prepareBinaries(packageFolder, account, temporary));
  signal.throwIfAborted();
  // Nobody waits for the disk who does not mind losing the data.
  const durable = isKept && settings.fsync !== 'off';
  const password = await prepareData({ folder: path, data, durable, account, binaries, log });
  const lastPort = readLastPort(path);
  const { port, postmaster } = await startServer(
    { folder: path, data, password, port: wantedPort, lastPort, settings, account, binaries, log },
    signal,
  );
  undo.push(() => postmaster.stop());
  claim.running();
  void postmaster.ended.then(() => claim.stopping());

  const url = serverUrl(port, password);
  if (isKept) writeUrl(path, url);
  const postmasterPid = postmaster.pid ?? 0;
  const report = {
    type: 'ready',
    url,
    port,
    postmasterPid,
    data: join(folder, 'data'),
    temporary: temporary.paths,
  } as const;
  return { report, postmaster };
}
