import type { Target } from '../bench.js';
import { compareSaturation } from './compare-saturation.js';

export const longPollSaturation: Target = {
  number: 2,
  name: 'long-poll-saturation',
  title: 'Long polls of a crowd',
  how: 'As before, with clients that poll again after each answer; messages that come in between share the next one.',
  measure: (bench) => compareSaturation(bench, 'long poll', 'long poll', { atLeast: 0.8 }),
};
