export type { Bus } from './bus/bus.js';
export type { Gap, MessageCallback, Subscription } from './bus/callback-subscription.js';
export type { DataOf } from './bus/channel-data.js';
export { createBus } from './bus/create-bus.js';
export type { Diagnostics } from './bus/diagnostics.js';
export type { BusOptions, OffOptions, Settings, SubscribeOptions } from './bus/options.js';
export type { DataSchema } from './bus/schemas.js';
export { printMigration } from './database/migrate/migrate.js';
export type { Id } from './foundation/checks.js';
export { isPostbusError, type PostbusError, type PostbusErrorCode } from './foundation/errors.js';
export type { Logger } from './foundation/logger.js';
export type {
  DeliverTrace,
  NoticeTrace,
  PublishTrace,
  ReadTrace,
  TracedReader,
  Traces,
} from './foundation/trace.js';
export type { BusEvents } from './listening/events.js';
export type { ClientMessageFilter } from './messages/client-filters.js';
export type { Codec } from './messages/codec.js';
export type { Message } from './messages/message.js';
export type {
  ManyMessage,
  PublishManyOptions,
  PublishOptions,
  SiteOptions,
} from './publishing/publish-options.js';
export type { PublishClient } from './publishing/publish-with-client.js';
