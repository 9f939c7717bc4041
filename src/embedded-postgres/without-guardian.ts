import { isPostgresOn, signalProcess } from './system/processes.js';
import { removeFolders } from './system/temporary.js';
import { poll } from './system/wait.js';

/** A guardian that was killed leaves all behind that it guarded: then the parent tidies up. */
export async function finishForGuardian(data: string, postmaster: number, temporary: readonly string[]): Promise<void> {
  const isGone = () => (isPostgresOn(data, postmaster) ? undefined : true);
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    if (isGone()) break;
    signalProcess(postmaster, signal);
    await poll(isGone, 10_000);
  }
  removeFolders(temporary);
}
