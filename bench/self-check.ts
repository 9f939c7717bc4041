import { Fleet } from './generator/fleet.js';
import type { Mode } from './generator/subscriber.js';
import { requireFlawless, WrongDelivery } from './generator/verdict.js';
import type { Faults } from './servers/bare-bus.js';
import { ServerProcess } from './servers/server-process.js';

const modes: Mode[] = ['stream', 'long poll'];
const cases: { what: string; faults: Faults; noticed: RegExp }[] = [
  { what: 'lost messages', faults: { drop: 0.05 }, noticed: /missing/ },
  { what: 'doubled messages', faults: { double: 0.05 }, noticed: /twice/ },
  { what: 'messages out of order', faults: { swapEvery: 10 }, noticed: /missing/ },
  { what: 'no fault', faults: {}, noticed: /^nothing$/ },
];

/** Whether the generator notices what it is there to notice, seen on a bare server that does wrong on purpose. */
export async function checkGenerator(log: (line: string) => void): Promise<boolean> {
  let isSound = true;
  for (const { what, faults, noticed } of cases) {
    const found = await Promise.all(modes.map((mode) => findFault(mode, faults)));
    for (const [i, mode] of modes.entries()) {
      const isRight = noticed.test(found[i] ?? '');
      isSound &&= isRight;
      log(`  ${isRight ? 'right' : 'WRONG'}: ${what}, ${mode}: ${found[i]}`);
    }
  }
  return isSound;
}

async function findFault(mode: Mode, faults: Faults): Promise<string> {
  const server = await ServerProcess.startBare({ nodeFlags: [] }, faults);
  const fleet = new Fleet({ ports: [server.port], mode, subscribers: 20, channels: 1 });
  // What is left out on purpose is not worth waiting for.
  const attempts = Object.keys(faults).length > 0 ? 10 : 1;
  const patience = Object.keys(faults).length > 0 ? { patienceMs: 300 } : {};
  try {
    await fleet.open();
    // Wrong is done to clients that wait: where the machine is slow, few do, unless less is published.
    for (let attempt = 1; attempt <= attempts; attempt++) {
      requireFlawless(await fleet.phase({ rate: 500 / attempt, seconds: 0.4, publishers: 1, size: 120, ...patience }));
    }
    return 'nothing';
  } catch (error) {
    if (error instanceof WrongDelivery) return error.message;
    throw error;
  } finally {
    await fleet.close();
    await server.stop();
  }
}
