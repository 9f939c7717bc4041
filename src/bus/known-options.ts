import { KnownKeys } from '../foundation/known-keys.js';
import type { SiteOptions } from '../publishing/publish-options.js';
import type { BusOptions, OffOptions, Settings, SubscribeOptions } from './options.js';

export const subscribeKeys = new KnownKeys<SubscribeOptions>('subscribe()', {
  lastId: true,
  siteId: true,
  onGap: true,
});

export const siteKeys = new KnownKeys<SiteOptions>('this function', { siteId: true });

export const offKeys = new KnownKeys<OffOptions>('off()', { disablePublish: true });

export const settingKeys = new KnownKeys<Settings>('configure()', {
  clearEvery: true,
  maxBacklogSize: true,
  maxGlobalBacklogSize: true,
  maxBacklogAge: true,
  maxDataSize: true,
  backlogSizeCap: true,
  backlogAgeCap: true,
  relay: true,
});

export const busKeys = new KnownKeys<BusOptions>('createBus()', {
  connectionString: true,
  pool: true,
  listenConnectionString: true,
  queryTimeout: true,
  schema: true,
  logger: true,
  keepaliveInterval: true,
  codec: true,
  schemas: true,
});
