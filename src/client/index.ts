export { type ClientStatus, type Diagnostics, MessageBusClient } from './client.js';
export type { Callback, MessageCallback } from './positions.js';
export type { ClientSettings } from './settings.js';
