import { separator } from '../answer.js';
import type { ClientSettings } from '../settings.js';

/** Of an XMLHttpRequest, or of jQuery's own, all that is used. */
export interface AjaxRequest {
  readonly status: number;
  readonly responseText: string;
  getResponseHeader?(name: string): string | null;
}

/** The argument of a page's `ajax`: the settings that the original's client gives to `jQuery.ajax`. */
export interface AjaxOptions {
  url: string;
  type: 'POST';
  async: true;
  /** Channels with their ids, and `__seq`: the fields of the form. */
  data: Record<string, string>;
  dataType: 'text' | 'json';
  headers: Record<string, string>;
  messageBus: {
    /** True if the poll may be answered by a stream. */
    chunked: boolean;
    /** Has the request hand over a stream while it comes in. */
    onProgressListener(xhr: AjaxRequest & { onprogress?: unknown }): () => void;
  };
  success(answer?: unknown): void;
  error(xhr: AjaxRequest, reason?: string): void;
  complete(...args: unknown[]): void;
}

/** Sends a request as `jQuery.ajax` does. May return it, with `abort()`. */
export type Ajax = (options: AjaxOptions) => unknown;

interface JQuery {
  ajax: Ajax;
  ajaxSettings: { xhr(): AjaxRequest };
}
declare const jQuery: JQuery | undefined;
declare const XMLHttpRequest: new () => AjaxRequest;

/** jQuery's, if the page has that. */
export function jQueryAjax(): Ajax | undefined {
  return typeof jQuery === 'undefined' ? undefined : jQuery.ajax;
}

/** Polls by `ajax` in place of fetch. */
export function viaAjax(ajax: Ajax): ClientSettings['fetch'] {
  return (url, { headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const chunked = !new Headers(headers).has('dont-chunk');
      const encoder = new TextEncoder();
      let stream: ReadableStreamDefaultController<Uint8Array> | undefined;
      let sent = 0;
      let isOver = false;

      const respond = (content: ReadableStream | string, type: string) =>
        resolve(new Response(content, { headers: { 'content-type': type } }));
      const isWhole = (xhr: AjaxRequest) =>
        xhr.status >= 300 || xhr.getResponseHeader?.('Content-Type')?.startsWith('application/json');
      const send = (text: string) => {
        if (!stream) {
          respond(
            new ReadableStream({
              start(controller) {
                stream = controller;
              },
            }),
            'text/plain',
          );
        }
        if (text.length > sent) stream?.enqueue(encoder.encode(text.slice(sent)));
        sent = text.length;
      };
      const fail = (error: unknown) => {
        isOver = true;
        if (stream) stream.error(error);
        else reject(error);
      };
      const onProgressListener: AjaxOptions['messageBus']['onProgressListener'] = (xhr) => {
        const onProgress = () => {
          if (!isOver && !isWhole(xhr)) send(xhr.responseText);
        };
        xhr.onprogress = onProgress;
        return onProgress;
      };
      const options = {
        url,
        type: 'POST',
        async: true,
        data: Object.fromEntries(new URLSearchParams(String(body))),
        dataType: chunked ? 'text' : 'json',
        headers: { 'X-SILENCE-LOGGER': 'true', ...Object.fromEntries(Object.entries(headers ?? {})) },
        messageBus: { chunked, onProgressListener },
        // For jQuery: it makes its request by this.
        xhr() {
          const xhr = typeof jQuery === 'undefined' ? new XMLHttpRequest() : jQuery.ajaxSettings.xhr();
          if (chunked) onProgressListener(xhr);
          return xhr;
        },
        success(answer) {
          const text = typeof answer === 'string' ? answer : (JSON.stringify(answer) ?? '');
          // An adapter may not tell of progress.
          if (stream || text.includes(separator)) {
            send(text);
            stream?.close();
          } else {
            respond(text, 'application/json');
          }
          isOver = true;
        },
        error(xhr, reason) {
          const { status, responseText } = xhr;
          const after = xhr.getResponseHeader?.('Retry-After');
          if (stream || status < 400) fail(new Error(`${status} ${reason}`));
          else resolve(new Response(responseText, { status, headers: after ? { 'retry-after': after } : {} }));
        },
        complete() {
          if (!isOver) fail(new Error('the request ended without an answer'));
        },
      } satisfies AjaxOptions & Record<string, unknown>;
      const request = ajax(options);
      // An async function may fail without a call of error().
      Promise.resolve(request).catch((error) => isOver || fail(error));
      signal?.addEventListener('abort', () => Object(request).abort?.());
    });
}
