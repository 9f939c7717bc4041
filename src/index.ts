export type { Id } from './arguments.js';
export type { Bus, BusOptions, PublishOptions, Settings, SiteOptions, SubscribeOptions } from './bus.js';
export { createBus } from './bus.js';
export { printMigration } from './database/migrate.js';
export { isPostbusError, type PostbusError, type PostbusErrorCode } from './errors.js';
export type { Logger } from './logger.js';
export type { Message } from './message.js';
export type { MessageCallback, Subscription } from './subscription.js';
