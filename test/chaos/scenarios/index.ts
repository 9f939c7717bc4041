import { backends } from './backends.js';
import { clockSteps } from './clock-steps.js';
import { diskFull } from './disk-full.js';
import { halfOpen } from './half-open.js';
import { kill9 } from './kill-9.js';
import { listeners } from './listeners.js';
import { nodesKilled, nodesStopped, rollingRestart } from './nodes.js';
import { outage } from './outage.js';
import { queueFull } from './queue-full.js';
import { restores } from './restores.js';
import type { Scenario } from './scenario.js';
import { slowReaders, slowSenders } from './slow.js';
import { soak } from './soak.js';

export const scenarios: readonly Scenario[] = [
  listeners,
  backends,
  halfOpen,
  kill9,
  outage,
  nodesKilled,
  nodesStopped,
  rollingRestart,
  slowReaders,
  slowSenders,
  diskFull,
  queueFull,
  clockSteps,
  ...restores,
  soak,
];
