import cluster from 'node:cluster';
import { onParentGone } from './parent-watch.js';

/** How long a stop may take. */
const stopTimeoutMs = 10_000;
/** A Ctrl-C reaches this process from the terminal, and once more from npm where that started it. */
const echoMs = 500;

/** Someone wants this process to stop. */
export interface StopSignals {
  readonly requested: Promise<void>;
  readonly isRequested: boolean;
  /** From now on the process ends by itself soon, or by force. */
  stopping(): void;
}

/**
 * The first SIGINT or SIGTERM asks for a stop, and so does the end of the shell in between if npm has started this process. A
 * later signal, or a stop that takes too long, is the end.
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
  // A cluster's primary ends its workers itself.
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
