// `MessageBus` as pages know it from the original: a global, and the default export of `postbus/message-bus`.

import { MessageBusClient } from '../client.js';
import { ClientSettings } from '../settings.js';
import { type Ajax, jQueryAjax, viaAjax } from './ajax.js';

export type { Ajax, AjaxOptions, AjaxRequest } from './ajax.js';

/** The client of a page, whose requests may go by a function in the way of `jQuery.ajax`. */
export class PageBus extends MessageBusClient {
  #ajax: Ajax | undefined;
  /** Sends the polls, unless the page has assigned another `fetch`. */
  #sender = this.fetch;

  constructor() {
    super();
    // The original's calls work without their object, as in `button.onclick = MessageBus.pause`.
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

  /** Sends the polls in place of fetch, if it is assigned. Until then jQuery's, if the page has that, for pages to assign or wrap. */
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
