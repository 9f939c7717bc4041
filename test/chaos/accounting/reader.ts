import { nameOf, type Place, type Received, type Row } from './publication.js';

/** Who somebody is for the bus. */
export interface Viewer {
  readonly userId: string | null;
  readonly groupIds: readonly string[];
  readonly clientId: string;
}

/** Everything that one reader has received, in its order, across all its reconnects. */
export class Reader {
  readonly received: Received[] = [];
  /** Gaps and other complaints that it was told, or has of what it was told. */
  readonly complaints: string[] = [];
  reconnects = 0;
  /** By its own will: its delays are not the bus's. */
  isSlow = false;
  readonly #names: ReadonlySet<string> | undefined;

  /**
   * `viewer`: undefined for readers on the server, who see every message. `places`: undefined for all channels. It reads
   * each from its first message on, or from after the global id `from`.
   */
  constructor(
    readonly name: string,
    readonly viewer?: Viewer,
    readonly places?: readonly Place[],
    readonly from = 0,
  ) {
    this.#names = places && new Set(places.map(nameOf));
  }

  /** The messages of these that it should receive, in their order. */
  expected(rows: readonly Row[]): Row[] {
    return rows.filter(
      (row) => row.globalId > this.from && (this.#names?.has(nameOf(row)) ?? true) && this.maySee(row),
    );
  }

  /** The rule of docs/fastify.md, written once more: the accounting must not ask the code that it accounts for. */
  maySee({ userIds, groupIds, clientIds }: Row): boolean {
    const { viewer } = this;
    if (!viewer) return true;
    if (clientIds && !clientIds.includes(viewer.clientId)) return false;
    if (!userIds && !groupIds) return true;
    const isNamed = viewer.userId !== null && (userIds ?? []).includes(viewer.userId);
    return isNamed || (groupIds ?? []).some((group) => viewer.groupIds.includes(group));
  }
}
