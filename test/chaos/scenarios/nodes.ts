import { setTimeout as delay } from 'node:timers/promises';
import { Arena } from '../arena.js';
import type { Scenario } from './scenario.js';

export const nodesKilled: Scenario = {
  name: 'nodes-killed',
  title: 'Nodes are killed under load, the one that relays among them: clients go on with another',
  async run(stage) {
    const arena = await Arena.open(stage, { nodes: 3, relay: true });
    await stage.keep(async () => {
      const node = stage.random.pick(arena.nodes);
      await node.kill();
      stage.made('nodes killed');
      await delay(stage.random.between(0, 500));
      await node.start();
    }, 600);
    await arena.settle();
  },
};

export const nodesStopped: Scenario = {
  name: 'nodes-stopped',
  title: 'Nodes are frozen (SIGSTOP) for seconds and go on: nobody misses or repeats a message',
  async run(stage) {
    const arena = await Arena.open(stage, { nodes: 3, relay: true });
    await stage.keep(async () => {
      const node = stage.random.pick(arena.nodes);
      node.freeze();
      stage.made('nodes frozen');
      await delay(stage.random.between(500, 3_500));
      node.thaw();
    }, 600);
    await arena.settle();
  },
};

export const rollingRestart: Scenario = {
  name: 'rolling-restart',
  title: 'Nodes are replaced one after the other (SIGTERM) under load: no client notices more than a reconnect',
  async run(stage) {
    const arena = await Arena.open(stage, { nodes: 3 });
    let next = 0;
    await stage.keep(async () => {
      const node = arena.nodes[next++ % arena.nodes.length];
      await node?.stop();
      await node?.start();
      stage.made('nodes replaced');
    });
    await arena.settle();
  },
};
