/** The nodes of a bus whose beats come in, and when each one's last beat came. */
export class Peers {
  /** When each node's last beat came, in ms since 1970 by our clock. */
  readonly #heard = new Map<string, number>();

  constructor(
    private readonly self: string,
    /** Ms for which a node may be silent; 0: no node is listed. */
    private readonly patience: number,
  ) {}

  hear(node: string): void {
    // Without beats of our own, nothing would call forgetSilent() regularly, and nobody would be forgotten.
    if (this.patience > 0) this.#heard.set(node, Date.now());
  }

  forgetSilent(): void {
    const since = Date.now() - this.patience;
    for (const [node, heard] of this.#heard) if (heard < since && node !== this.self) this.#heard.delete(node);
  }

  get heardItselfAt(): string | null {
    const heard = this.#heard.get(this.self);
    return heard === undefined ? null : new Date(heard).toISOString();
  }

  /** The other nodes, and when the last beat of each one came (ISO 8601, our clock). */
  list(): { node: string; heardAt: string }[] {
    this.forgetSilent();
    const others = [...this.#heard].filter(([node]) => node !== this.self);
    return others.map(([node, heard]) => ({ node, heardAt: new Date(heard).toISOString() }));
  }
}
