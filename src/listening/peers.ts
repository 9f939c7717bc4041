/** The nodes of a bus whose signs of life come in, and when each one's last did. */
export class Peers {
  /** In ms since 1970. */
  readonly #heard = new Map<string, number>();

  constructor(
    private readonly self: string,
    /** Ms for which a node may be silent; 0: none is listed. */
    private readonly patience: number,
  ) {}

  hear(node: string): void {
    // Without an interval of our own, nobody would be forgotten.
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

  /** The others. */
  list(): { node: string; heardAt: string }[] {
    this.forgetSilent();
    const others = [...this.#heard].filter(([node]) => node !== this.self);
    return others.map(([node, heard]) => ({ node, heardAt: new Date(heard).toISOString() }));
  }
}
