// The script for pages without modules, in place of the original's: sets the global `MessageBus`.
import { MessageBusClient } from './client.js';

declare global {
  var MessageBus: MessageBusClient;
}

/** Of AMD loaders, by which the original may be loaded too. */
interface Define {
  (factory: () => unknown): void;
  amd?: unknown;
}
declare const define: Define | undefined;

const bus = new MessageBusClient();
// The original's calls work without their object, as in `button.onclick = MessageBus.pause`.
const calls = ['start', 'stop', 'pause', 'resume', 'status', 'subscribe', 'unsubscribe', 'diagnostics'] as const;
for (const name of calls)
  Object.assign(bus, { [name]: (...args: never[]) => Reflect.apply(MessageBusClient.prototype[name], bus, args) });

globalThis.MessageBus = bus;
if (typeof define === 'function' && define.amd) define(() => bus);
