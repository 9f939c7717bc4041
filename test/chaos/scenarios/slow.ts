import { setTimeout as delay } from 'node:timers/promises';
import { Arena } from '../arena.js';
import { BulkWay } from '../load/bulk-way.js';
import { RawClient } from '../load/raw-client.js';
import { SlowSockets } from '../load/slow-sockets.js';
import { bulkPlace } from '../load/world.js';
import type { Scenario } from './scenario.js';

/** A node takes some 100 MB; one that kept for its deaf streams what they do not read would soon take gigabytes. */
const maxNodeBytes = 500e6;

export const slowReaders: Scenario = {
  name: 'slow-readers',
  title: 'Readers that take nothing, or little, cost nodes bounded memory, delay nobody, and get all in the end',
  async run(stage) {
    const arena = await Arena.open(stage, { ways: (url) => [new BulkWay(url)] });
    let isSlow = true;
    for (let i = 0; i < 3; i++) {
      const viewer = { clientId: `slow-reader-${i}`, userId: null, groupIds: [] };
      const pauseMs = () => (isSlow ? stage.random.between(200, 1_500) : 0);
      const options = { url: arena.gateway, viewer, siteId: null, places: [bulkPlace], pauseMs };
      arena.listeners.push(new RawClient(options, stage.random.fork()));
    }
    const deaf = new SlowSockets(stage, () => arena.gateway, stage.random.fork());
    let largest = 0;
    await stage.keep(async () => {
      for (let i = deaf.open; i < 60; i++) {
        await deaf.openDeafStream(bulkPlace.channel);
        stage.made('deaf streams');
      }
      for (const node of arena.nodes) largest = Math.max(largest, await node.memory());
    });
    isSlow = false;
    await arena.settle();
    stage.made('MB in the largest node', Math.round(largest / 1e6));
    if (largest > maxNodeBytes) stage.complain(`a node took ${largest} bytes`);
  },
};

export const slowSenders: Scenario = {
  name: 'slow-senders',
  title: 'Requests that come a byte at a time, or never end, delay nobody',
  async run(stage) {
    const arena = await Arena.open(stage);
    const senders = new SlowSockets(stage, () => arena.gateway, stage.random.fork());
    await stage.keep(async () => {
      for (let i = senders.open; i < 200; i++) {
        void senders.openSlowSender();
        stage.made('slow requests');
        await delay(1);
      }
    });
    await arena.settle();
  },
};
