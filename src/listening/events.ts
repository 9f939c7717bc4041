import { EventEmitter } from 'node:events';

/** What happens to a bus, with the arguments of its listeners. */
export interface BusEvents {
  /** Messages published anywhere arrive here from now on; what came before is caught up with. */
  connected: [];
  /** They do not, until the next `connected`: once an outage, with its reason. */
  disconnected: [error: unknown];
}

/** Tells listeners of what happens; one that fails is reported and keeps nobody from hearing of it. */
export class BusEventEmitter extends EventEmitter<BusEvents> {
  constructor(private readonly onError: (error: unknown) => void) {
    super();
    // Every cache of a bus listens; they may be many.
    this.setMaxListeners(0);
  }

  tell<Name extends keyof BusEvents>(name: Name, ...args: BusEvents[Name]): void {
    for (const listener of this.rawListeners(name)) {
      const calling = async () => Reflect.apply(listener, this, args);
      calling().catch(this.onError);
    }
  }
}
