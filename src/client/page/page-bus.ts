// `MessageBus` as pages know it from the original client: a global, and the default export of `postbus/message-bus`.

import { MessageBusClient } from '../client.js';
import { ClientSettings } from '../settings.js';
import { type Ajax, jQueryAjax, viaAjax } from './ajax.js';

export type { Ajax, AjaxOptions, AjaxRequest } from './ajax.js';

/** The client of a page. Its requests may go through a function that works like `jQuery.ajax`. */
export class PageBus extends MessageBusClient {
  #ajax: Ajax | undefined;
  /** Sends the polls, unless the page has assigned another `fetch`. */
  #sender = this.fetch;

  constructor() {
    super();
    // The original's methods work without their object, as in `button.onclick = MessageBus.pause`.
    const calls = [
      'start',
      'stop',
      'pause',
      'resume',
      'status',
      'subscribe',
      'unsubscribe',
      'diagnostics',
      'onVisibilityChange',
    ] as const;
    for (const name of calls)
      Object.assign(this, {
        [name]: (...args: never[]) => Reflect.apply(MessageBusClient.prototype[name], this, args),
      });
  }

  /**
   * If assigned, sends the polls in place of fetch. Until then it is the `ajax` of jQuery if the page has jQuery, so
   * that pages can assign or wrap it.
   */
  get ajax(): Ajax | undefined {
    return this.#ajax ?? jQueryAjax();
  }

  set ajax(ajax: Ajax | null | false | undefined) {
    if (ajax && typeof ajax !== 'function') {
      console.warn('MessageBus: ajax has no effect, because it is not a function.');
      return;
    }
    if (ajax && this.fetch !== this.#sender)
      console.warn('MessageBus: fetch has no effect any more, because ajax was assigned after it.');
    this.#ajax = ajax || undefined;
    this.#sender = ajax ? viaAjax(ajax) : new ClientSettings().fetch;
    this.fetch = this.#sender;
  }
}

export function createPageBus(): PageBus {
  globalThis.MessageBus = new PageBus();
  return globalThis.MessageBus;
}
