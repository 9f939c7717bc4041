import { EventEmitter } from 'node:events';

/** The events of a bus, with the arguments of their listeners. */
export interface BusEvents {
  /** From now on, messages that any node publishes arrive in this process. Those published before are read. */
  connected: [];
  /**
   * Published messages do not arrive in this process until the next `connected`. Emitted once per outage, with its
   * reason.
   */
  disconnected: [error: unknown];
}

/** Calls the listeners of events. A listener that fails is reported, and the others are called all the same. */
export class BusEventEmitter extends EventEmitter<BusEvents> {
  constructor(private readonly onError: (error: unknown) => void) {
    super();
    // Every cache of a bus adds a listener, and there may be many: by default, Node warns of a leak from the eleventh
    // on.
    this.setMaxListeners(0);
  }

  tell<Name extends keyof BusEvents>(name: Name, ...args: BusEvents[Name]): void {
    for (const listener of this.rawListeners(name)) {
      const calling = async () => Reflect.apply(listener, this, args);
      calling().catch(this.onError);
    }
  }
}
