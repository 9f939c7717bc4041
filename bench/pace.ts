/** How long and how much is measured. */
export interface Pace {
  name: 'full' | 'quick' | 'smoke';
  /** Runs of each side, in turns. */
  runs: number;
  /** Seconds for which a rate is held while the highest is searched. */
  stepSeconds: number;
  /** Seconds of everything else, and what of it goes by before it counts. */
  seconds: number;
  warmUpSeconds: number;
  /** Publishes a second to begin a search with. */
  startRate: number;
  /** Clients of one channel, or channels of a client each. */
  crowd: number;
  parked: number;
  publishes: number;
}

export const paces: Record<Pace['name'], Pace> = {
  full: {
    name: 'full',
    runs: 3,
    stepSeconds: 2,
    seconds: 4,
    warmUpSeconds: 1,
    startRate: 16,
    crowd: 1000,
    parked: 10_000,
    publishes: 2_000_000,
  },
  quick: {
    name: 'quick',
    runs: 1,
    stepSeconds: 1,
    seconds: 1.5,
    warmUpSeconds: 0.5,
    startRate: 32,
    crowd: 1000,
    parked: 10_000,
    publishes: 200_000,
  },
  // Figures without meaning: shows that everything runs.
  smoke: {
    name: 'smoke',
    runs: 1,
    stepSeconds: 0.1,
    seconds: 0.1,
    warmUpSeconds: 0.02,
    startRate: 2048,
    crowd: 10,
    parked: 20,
    publishes: 2_000,
  },
};
