import cluster from 'node:cluster';
import { onParentGone } from './parent-watch.js';

/** Ms that a stop may take. */
const stopTimeoutMs = 10_000;
/**
 * Ms in which a second signal counts as the first one: a Ctrl-C comes from the terminal, and once more from npm if that
 * started this process.
 */
const echoMs = 500;

/** Tells whether somebody wants this process to stop. */
export interface StopSignals {
  readonly requested: Promise<void>;
  readonly isRequested: boolean;
  /** Call this when a stop begins: if it takes more than 10 s, the process exits. */
  stopping(): void;
}

/**
 * Listens for stop signals. The first SIGINT or SIGTERM asks for a stop; if npm has started this process, so does the
 * end of the shell in between. A later signal, or a stop that takes too long, ends the process at once, with code 1.
 */
export function listenForStopSignals(): StopSignals {
  let requestedAt: number | undefined;
  let resolve = () => {};
  const requested = new Promise<void>((settle) => {
    resolve = settle;
  });
  const stopping = () => {
    setTimeout(() => process.exit(1), stopTimeoutMs).unref();
  };
  const onSignal = () => {
    if (requestedAt === undefined) {
      requestedAt = performance.now();
      stopping();
      resolve();
    } else if (performance.now() - requestedAt > echoMs) {
      process.exit(1);
    }
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  // In a cluster, the primary stops its workers.
  if (cluster.isPrimary) {
    onParentGone(() => {
      if (requestedAt === undefined) onSignal();
    });
  }
  return {
    requested,
    get isRequested() {
      return requestedAt !== undefined;
    },
    stopping,
  };
}
