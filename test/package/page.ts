// The client in a browser's project, which knows the types of the DOM and none of Node's; compiled by check.sh.
import { MessageBusClient } from 'postbus/client';
import type {} from 'postbus/client/message-bus.js';

const client = new MessageBusClient({ fetch: (url, init) => window.fetch(url, { ...init, credentials: 'include' }) });
client.subscribe<string>('/chat', (text) => document.body.append(text));
MessageBus.subscribe('/chat', () => {}, -1);
