export type { Id } from './arguments.js';
export type { DataOf } from './bus/channel-data.js';
export type { DataSchema } from './bus/schemas.js';
export type { Bus } from './bus.js';
export type {
  BusOptions,
  ManyMessage,
  OffOptions,
  PublishManyOptions,
  PublishOptions,
  Settings,
  SiteOptions,
  SubscribeOptions,
} from './bus-options.js';
export type { ClientMessageFilter } from './client-filters.js';
export type { Codec } from './codec.js';
export { createBus } from './create-bus.js';
export { printMigration } from './database/migrate.js';
export type { Diagnostics } from './diagnostics.js';
export { isPostbusError, type PostbusError, type PostbusErrorCode } from './errors.js';
export type { BusEvents } from './events.js';
export type { Logger } from './logger.js';
export type { Message } from './message.js';
export type { PublishClient } from './publishing/publish-with-client.js';
export type { Gap, MessageCallback, Subscription } from './subscription.js';
