// The script for pages without modules, in place of the original client's. Sets the global `MessageBus`.
import { createPageBus, type PageBus } from './page-bus.js';

declare global {
  var MessageBus: PageBus;
}

/** The `define` of AMD loaders, by which pages may load the original, too. */
interface Define {
  (factory: () => unknown): void;
  amd?: unknown;
}
declare const define: Define | undefined;

const bus = createPageBus();
if (typeof define === 'function' && define.amd) define(() => bus);
