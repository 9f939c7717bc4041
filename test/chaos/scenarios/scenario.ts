import type { Stage } from '../stage.js';

export interface Scenario {
  readonly name: string;
  /** What holds: a sentence. */
  readonly title: string;
  run(stage: Stage): Promise<void>;
}
