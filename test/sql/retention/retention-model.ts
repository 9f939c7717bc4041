/** A message to publish, as the model and the database are both given it. */
export interface Publication {
  channel: string;
  site: string | null;
  data: number;
  size: number | null;
  /** Hours, and a half: time passes in whole hours, so that no message is ever on the edge. */
  age: number | null;
}

export interface Limits {
  size: number;
  globalSize: number;
  age: number;
}

/** A message as it is read: message id, global id, data. */
export type Row = [number, number, number];

interface Stored {
  row: Row;
  publishedAt: number;
  age: number | null;
}

interface Channel {
  messages: Stored[];
  /** The oldest message that the sizes given so far let be read. */
  first: number;
  /** Of the last publication; null: the bus-wide one. */
  size: number | null;
}

/** What can be read of a bus, by the rules of docs/sql.md: nothing is ever deleted here, only hidden. */
export class RetentionModel {
  readonly #channels = new Map<string, Channel>();
  readonly #all: { channel: Channel; message: Stored }[] = [];
  #hours = 0;
  /** Global ids up to these have left the window, and were expired. */
  #globalFloor: number;
  #expired: number;

  constructor(
    public limits: Limits,
    readonly firstGlobalId: number,
  ) {
    this.#globalFloor = firstGlobalId;
    this.#expired = firstGlobalId;
  }

  get lastGlobalId(): number {
    return this.firstGlobalId + this.#all.length;
  }

  publish({ channel: name, site, data, size, age }: Publication): number {
    const channel = this.#channel(name, site);
    const id = channel.messages.length + 1;
    channel.first = Math.max(channel.first, id + 1 - (size ?? this.limits.size));
    channel.size = size;
    const message: Stored = { row: [id, this.lastGlobalId + 1, data], publishedAt: this.#hours, age };
    channel.messages.push(message);
    this.#all.push({ channel, message });
    return id;
  }

  configure(limits: Partial<Limits>): void {
    const { globalSize = this.limits.globalSize } = limits;
    this.#globalFloor = Math.max(this.#globalFloor, this.lastGlobalId - Math.min(globalSize, this.limits.globalSize));
    this.limits = { ...this.limits, ...limits };
  }

  expireAll(): void {
    this.#expired = this.lastGlobalId;
  }

  pass(hours: number): void {
    this.#hours += hours;
  }

  lastId(name: string, site: string | null): number {
    return this.#channel(name, site).messages.length;
  }

  backlog(name: string, site: string | null): Row[] {
    const channel = this.#channel(name, site);
    return channel.messages.filter((message) => this.#isReadable(channel, message)).map(({ row }) => row);
  }

  globalBacklog(): Row[] {
    const floor = Math.max(this.#globalFloor, this.lastGlobalId - this.limits.globalSize);
    return this.#all
      .filter(({ channel, message }) => message.row[1] > floor && this.#isReadable(channel, message))
      .map(({ message }) => message.row);
  }

  #isReadable({ messages, first, size }: Channel, { row: [id, globalId], publishedAt, age }: Stored): boolean {
    return (
      id >= first &&
      id > messages.length - (size ?? this.limits.size) &&
      globalId > this.#expired &&
      this.#hours - publishedAt < (age ?? this.limits.age)
    );
  }

  #channel(name: string, site: string | null): Channel {
    const key = `${name.startsWith('/global/') ? '' : (site ?? '')} ${name}`;
    let channel = this.#channels.get(key);
    if (!channel) {
      channel = { messages: [], first: 1, size: null };
      this.#channels.set(key, channel);
    }
    return channel;
  }
}
