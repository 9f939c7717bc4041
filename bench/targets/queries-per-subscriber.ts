import { setTimeout as sleep } from 'node:timers/promises';
import { messageSize, type Target } from '../bench.js';
import { StatementCounter } from '../database/statement-counter.js';
import type { Mode } from '../generator/subscriber.js';
import { requireFlawless } from '../generator/verdict.js';
import { type Run, side } from '../measurement.js';

const rate = 20;

export const queriesPerSubscriber: Target = {
  number: 14,
  name: 'queries-per-subscriber',
  title: 'What subscribers cost Postgres',
  how: 'The statements that a node sends to Postgres, counted on the wire by a proxy in between, while another node publishes 20 messages a second to one channel: with 1000 subscribers, and with one.',
  async measure(bench) {
    const url = await bench.database();
    const { counter, url: counted } = await StatementCounter.start(url);
    bench.onEnd(() => counter.stop());
    const node = await bench.postbus(counted);
    const publisher = await bench.postbus(url);
    const count = async (mode: Mode, subscribers: number): Promise<Run> => {
      const fleet = bench.fleet({ ports: [node.port], publishTo: [publisher.port], mode, subscribers, channels: 1 });
      const before = counter.count;
      await fleet.open();
      const opened = counter.count;
      const phase = await fleet.phase({ rate, seconds: bench.pace.seconds, publishers: 1, size: messageSize });
      requireFlawless(phase);
      const after = counter.count;
      await fleet.close();
      await untilQuiet(counter);
      bench.log(
        `  ${mode}, ${subscribers} subscribers: ${opened - before} statements to open, ${after - opened} afterwards`,
      );
      return { value: after - opened, generatorBusy: phase.generatorBusy };
    };
    const modes = (['stream', 'long poll'] as const).map((mode) => ({ mode, one: [] as Run[], crowd: [] as Run[] }));
    await bench.rounds(async () => {
      for (const { mode, one, crowd } of modes) {
        one.push(await count(mode, 1));
        crowd.push(await count(mode, bench.pace.crowd));
      }
    });
    return {
      lines: modes.map(({ mode, one, crowd }) => ({
        what: `statements for ${rate * bench.pace.seconds} messages, 1000 subscribers (${mode})`,
        unit: 'statements',
        floor: side('one subscriber', one),
        measured: side('1000 subscribers', crowd),
        goal: { atMost: 1 },
      })),
    };
  },
};

/** Until the node has noticed that its subscribers are gone. */
async function untilQuiet(counter: StatementCounter): Promise<void> {
  for (let before = -1; before !== counter.count; ) {
    before = counter.count;
    await sleep(200);
  }
}
