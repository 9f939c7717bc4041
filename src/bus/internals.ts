import type { Dispatcher } from '../delivery/dispatcher.js';
import { errors } from '../foundation/errors.js';
import type { ClientFilters } from '../messages/client-filters.js';
import type { Bus } from './bus.js';

/** The parts of a bus that the plugin uses, and that applications do not see. */
export interface BusInternals {
  /** Delivers messages to the readers of this node. */
  readonly dispatcher: Dispatcher;
  /** Hides messages from the HTTP clients of this node. */
  readonly clientFilters: ClientFilters;
}

// A symbol in the registry of the process, because an application may have installed the package twice.
export const internals: unique symbol = Symbol.for('postbus.internals');

/** Returns the internals of a bus. @throws POSTBUS_BAD_OPTION if it is no bus of createBus() or createMemoryBus() */
export function internalsOf(bus: Bus): BusInternals {
  if (hasInternals(bus)) return bus[internals];
  throw new errors.BAD_OPTION('bus', 'must be a bus, from createBus()');
}

function hasInternals(bus: Bus): bus is Bus & { [internals]: BusInternals } {
  return typeof bus === 'object' && bus !== null && internals in bus;
}
