// The script for pages without modules, in place of the original's: sets the global `MessageBus`.
import { createPageBus, type PageBus } from './page-bus.js';

declare global {
  var MessageBus: PageBus;
}

/** Of AMD loaders, by which the original may be loaded too. */
interface Define {
  (factory: () => unknown): void;
  amd?: unknown;
}
declare const define: Define | undefined;

const bus = createPageBus();
if (typeof define === 'function' && define.amd) define(() => bus);
