import type { Dispatcher } from '../delivery/dispatcher.js';
import { errors } from '../foundation/errors.js';
import type { ClientFilters } from '../messages/client-filters.js';
import type { Bus } from './bus.js';

/** What a bus shows to the plugin, and not to applications. */
export interface BusInternals {
  /** Who waits for what on this node. */
  readonly dispatcher: Dispatcher;
  /** Whether clients may see a message. */
  readonly clientFilters: ClientFilters;
}

// In the registry of the process, because an application may have installed the package twice.
export const internals: unique symbol = Symbol.for('postbus.internals');

/** @throws POSTBUS_BAD_OPTION if it is no bus of createBus() or createMemoryBus() */
export function internalsOf(bus: Bus): BusInternals {
  if (hasInternals(bus)) return bus[internals];
  throw new errors.BAD_OPTION('bus', 'must be a bus, from createBus()');
}

function hasInternals(bus: Bus): bus is Bus & { [internals]: BusInternals } {
  return typeof bus === 'object' && bus !== null && internals in bus;
}
