import type { Target } from '../bench.js';
import { compareSaturation } from './compare-saturation.js';

export const streamingSaturation: Target = {
  number: 1,
  name: 'streaming-saturation',
  title: 'Streaming to a crowd',
  how: 'The rate of publishes over HTTP is doubled, then bisected, for the most deliveries a second at which all 1000 clients get everything, 99 % of it within 200 ms. Each publisher waits for its answer before it goes on: with 8 of them the time that takes sets a limit, with 64 the deliveries do.',
  measure: (bench) => compareSaturation(bench, 'stream', 'streaming', { atLeast: 6 }),
};
