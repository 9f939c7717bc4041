// Main module of a worker process, which Workers starts.
import cluster from 'node:cluster';
import { HttpServer } from './http-server.js';
import { createLogger, logWhatNodePrints } from './log.js';
import { listenForStopSignals } from './processes/stop-signals.js';
import { taskVariable, type WorkerReport, type WorkerTask } from './workers.js';

const signals = listenForStopSignals();
const { options, address }: WorkerTask = JSON.parse(process.env[taskVariable] ?? '');
logWhatNodePrints(createLogger(options.logLevel));
const server = new HttpServer(options, address);
try {
  await tell({ port: await server.start() });
  await signals.requested;
} catch (error) {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  await tell({ code, message, stack });
  process.exitCode = 1;
} finally {
  signals.stopping();
  await server.close();
  // Only the channel to the primary still keeps this process alive.
  cluster.worker?.disconnect();
}

function tell(report: WorkerReport): Promise<void> {
  return new Promise((resolve) => process.send?.(report, undefined, undefined, () => resolve()));
}
