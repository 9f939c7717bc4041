import { nameOf, type Place, type Received, type Row } from './publication.js';

/** Who somebody is for the bus. */
export interface Viewer {
  readonly userId: string | null;
  readonly groupIds: readonly string[];
  readonly clientId: string;
}

export interface ReaderOptions {
  readonly name: string;
  /** None for readers on the server, who see every message. */
  readonly viewer?: Viewer;
  /** The channels that it reads; none given: all. */
  readonly places?: readonly Place[];
  /** It takes its time by its own will: its delays are not the bus's. */
  readonly isSlow?: boolean;
}

/** Everything that one reader has received, in its order, across all its reconnects. */
export class Reader {
  readonly name: string;
  readonly viewer: Viewer | undefined;
  readonly places: readonly Place[] | undefined;
  readonly isSlow: boolean;
  /** Since the last restore. */
  received: Received[] = [];
  /** What it was told of gaps. */
  readonly gaps: string[] = [];
  /** Whatever else it complains of. */
  readonly complaints: string[] = [];
  reconnects = 0;
  /** The last global id that it has received. */
  position = 0;
  /** What it is to receive begins after this global id. */
  from = 0;
  /** Messages that it received before the last restore. */
  readonly #past = new Set<string>();
  readonly #names: ReadonlySet<string> | undefined;

  constructor({ name, viewer, places, isSlow = false }: ReaderOptions) {
    this.name = name;
    this.viewer = viewer;
    this.places = places;
    this.isSlow = isSlow;
    this.#names = places && new Set(places.map(nameOf));
  }

  receive(...messages: readonly Received[]): void {
    this.received.push(...messages);
    this.position = messages.at(-1)?.globalId ?? this.position;
  }

  /** The tables have gone back: what is published from now on has ids after this one. */
  beginAnew(from: number): void {
    for (const message of this.received) this.#past.add(keyOf(message));
    this.received = [];
    this.from = from;
  }

  hasReceivedBefore(row: Row): boolean {
    return this.#past.has(keyOf(row));
  }

  get isOnServer(): boolean {
    return this.viewer === undefined;
  }

  /** The messages of these that it should receive, in their order. */
  expected(rows: readonly Row[]): Row[] {
    return rows.filter(
      (row) => row.globalId > this.from && (this.#names?.has(nameOf(row)) ?? true) && this.maySee(row),
    );
  }

  /** Whether it has the last one of what it should receive in each channel. */
  isComplete(rows: readonly Row[]): boolean {
    const last = new Map<string, number>();
    for (const row of this.expected(rows)) last.set(nameOf(row), row.globalId);
    for (let i = this.received.length - 1; i >= 0 && last.size > 0; i--) {
      const message = this.received[i];
      if (message && last.get(nameOf(message)) === message.globalId) last.delete(nameOf(message));
    }
    return last.size === 0;
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

function keyOf({ globalId, tag }: Received | Row): string {
  return `${globalId} ${tag}`;
}
