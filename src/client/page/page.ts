// For bundlers, in place of `message-bus-client`. Exports the page's global `MessageBus`, and creates it if the page
// has none.
import { createPageBus, type PageBus } from './page-bus.js';

export type { Ajax, AjaxOptions, AjaxRequest, PageBus } from './page-bus.js';

declare global {
  var MessageBus: PageBus;
}

const bus: PageBus = typeof globalThis.MessageBus?.subscribe === 'function' ? globalThis.MessageBus : createPageBus();
export default bus;
