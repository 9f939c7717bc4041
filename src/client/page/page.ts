// For bundlers, in place of `message-bus-client`: the page's `MessageBus`, which is the global one, made here if the page has none.
import { createPageBus, type PageBus } from './page-bus.js';

export type { Ajax, AjaxOptions, AjaxRequest, PageBus } from './page-bus.js';

declare global {
  var MessageBus: PageBus;
}

const bus: PageBus = typeof globalThis.MessageBus?.subscribe === 'function' ? globalThis.MessageBus : createPageBus();
export default bus;
