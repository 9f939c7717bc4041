import { writeSync } from 'node:fs';
import { launch, type Undo } from './launch.js';
import { isRequest, type Report, type Request } from './protocol.js';
import { toFailure } from './system/errors.js';

/*
 * The program between the parent and Postgres. It outlives the parent by the moment that it takes to stop Postgres and to
 * tidy up, however the parent ended: the system closes the channel between them.
 */

process.title = 'postbus-guardian';
process.umask(0o022);
// The terminal and the service manager speak to the parent, which ends us when it is done with Postgres.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

const end = new AbortController();
process.once('disconnect', () => end.abort());
process.on('uncaughtException', (error) => {
  // Whatever it is, Postgres must not stay behind.
  lastWords(error);
  end.abort();
});
process.once('message', (message) => {
  if (isRequest(message)) void serve(message);
});

async function serve(request: Request): Promise<void> {
  const undo: Undo[] = [];
  let failure: Report | undefined;
  try {
    const { report, postmaster } = await launch(request, end.signal, undo);
    await tell(report);
    await Promise.race([postmaster.gone, aborted(end.signal)]);
  } catch (error) {
    const { code, details } = toFailure(error, request.folder);
    failure = { type: 'failed', code, details };
  }
  for (const step of undo.reverse()) {
    try {
      await step();
    } catch (error) {
      // The other steps matter all the same.
      lastWords(error);
    }
  }
  // Told last: the parent may count on it that nothing is left of the attempt.
  if (failure) await tell(failure);
  // From here on an error may end this process.
  process.removeAllListeners('uncaughtException');
  process.exit();
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function tell(report: Report): Promise<void> {
  return new Promise((resolve) => {
    // Without a parent there is nobody to tell, and this is no error.
    if (process.connected && process.send) process.send(report, undefined, undefined, () => resolve());
    else resolve();
  });
}

function lastWords(error: unknown): void {
  try {
    writeSync(process.stderr.fd, `${error instanceof Error ? error.stack : error}\n`);
  } catch {
    // The parent is gone.
  }
}
