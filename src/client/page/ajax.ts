import { separator } from '../answer.js';
import type { ClientSettings } from '../settings.js';

/** The parts of an XMLHttpRequest, or of jQuery's own, that are used. */
export interface AjaxRequest {
  readonly status: number;
  readonly responseText: string;
  getResponseHeader?(name: string): string | null;
}

/** The argument of a page's `ajax`: the settings that the original client gives to `jQuery.ajax`. */
export interface AjaxOptions {
  url: string;
  type: 'POST';
  async: true;
  /** The fields of the form: channels with their ids, and `__seq`. */
  data: Record<string, string>;
  dataType: 'text' | 'json';
  headers: Record<string, string>;
  messageBus: {
    /** True if the poll may be answered by a stream. */
    chunked: boolean;
    /** Makes the request hand over a stream while it comes in. */
    onProgressListener(xhr: AjaxRequest & { onprogress?: unknown }): () => void;
  };
  success(answer?: unknown): void;
  error(xhr: AjaxRequest, reason?: string): void;
  complete(...args: unknown[]): void;
}

/** Sends a request as `jQuery.ajax` does. May return the request, which may have an `abort()`. */
export type Ajax = (options: AjaxOptions) => unknown;

interface JQuery {
  ajax: Ajax;
  ajaxSettings: { xhr(): AjaxRequest };
}
declare const jQuery: JQuery | undefined;
declare const XMLHttpRequest: new () => AjaxRequest;

/** jQuery's `ajax`, if the page has jQuery. */
export function jQueryAjax(): Ajax | undefined {
  return typeof jQuery === 'undefined' ? undefined : jQuery.ajax;
}

/** A `fetch` that sends polls by `ajax`. */
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
        // jQuery calls this to make its request.
        xhr() {
          const xhr = typeof jQuery === 'undefined' ? new XMLHttpRequest() : jQuery.ajaxSettings.xhr();
          if (chunked) onProgressListener(xhr);
          return xhr;
        },
        success(answer) {
          const text = typeof answer === 'string' ? answer : (JSON.stringify(answer) ?? '');
          // An adapter may not report progress: then the stream comes here as a whole.
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
      // An async `ajax` may fail without calling error().
      Promise.resolve(request).catch((error) => isOver || fail(error));
      signal?.addEventListener('abort', () => Object(request).abort?.());
    });
}
