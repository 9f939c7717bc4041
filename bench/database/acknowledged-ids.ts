/** The ids that publishes were answered, by channel, in the order of the calls. */
export class AcknowledgedIds {
  readonly #ids: number[][];

  constructor(channels: number) {
    this.#ids = Array.from({ length: channels }, () => []);
  }

  /** Keeps a place for a call that is made now. */
  expect(channel: number): { ids: number[]; place: number } {
    const ids = this.#ids[channel] ?? [];
    return { ids, place: ids.push(0) - 1 };
  }

  /**
   * What is wrong with them: each channel's ids are those after `before` up to `after`, each once. `inOrder`: and rise
   * with the calls.
   */
  faults(before: readonly number[], after: readonly number[], inOrder: boolean): string[] {
    const faults: string[] = [];
    for (const [channel, ids] of this.#ids.entries()) {
      const first = (before[channel] ?? 0) + 1;
      const isNext = (id: number, i: number) => id === first + i;
      if (inOrder && !ids.every(isNext)) faults.push(`ids of channel ${channel} are not in the order of the calls`);
      if (!Float64Array.from(ids).sort().every(isNext)) faults.push(`ids of channel ${channel} have gaps or repeat`);
      if (after[channel] !== first + ids.length - 1)
        faults.push(`channel ${channel} has another last id than answered`);
    }
    return faults;
  }
}
