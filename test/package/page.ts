// The client in a browser's project, which knows the types of the DOM and none of Node's; compiled by check.sh.
import { MessageBusClient } from 'postbus/client';
import type {} from 'postbus/client/message-bus.js';
import bus from 'postbus/message-bus';

const client = new MessageBusClient({ fetch: (url, init) => window.fetch(url, { ...init, credentials: 'include' }) });
client.subscribe<string>('/chat', (text) => document.body.append(text));
MessageBus.subscribe('/chat', () => {}, -1);
bus.ajax = (options) => fetch(options.url, { method: options.type, headers: options.headers });
bus.ajax = (options) => {
  const xhr = new XMLHttpRequest();
  options.messageBus.onProgressListener(xhr);
  return xhr;
};
bus.longPoll?.abort();
