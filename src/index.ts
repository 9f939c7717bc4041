export type { Id } from './arguments.js';
export { type Bus, createBus } from './bus.js';
export type { BusOptions, PublishOptions, Settings, SiteOptions, SubscribeOptions } from './bus-options.js';
export { printMigration } from './database/migrate.js';
export { isPostbusError, type PostbusError, type PostbusErrorCode } from './errors.js';
export type { BusEvents } from './events.js';
export type { Logger } from './logger.js';
export type { Message } from './message.js';
export type { Gap, MessageCallback, Subscription } from './subscription.js';
