import { backends } from './backends.js';
import { halfOpen } from './half-open.js';
import { kill9 } from './kill-9.js';
import { listeners } from './listeners.js';
import { nodesKilled, nodesStopped, rollingRestart } from './nodes.js';
import { outage } from './outage.js';
import type { Scenario } from './scenario.js';

export const scenarios: readonly Scenario[] = [
  listeners,
  backends,
  halfOpen,
  kill9,
  outage,
  nodesKilled,
  nodesStopped,
  rollingRestart,
];
