import type { Id } from '../foundation/checks.js';
import { KnownKeys } from '../foundation/known-keys.js';
import type { PublishClient } from './publish-with-client.js';

export interface SiteOptions {
  /** The site (tenant) of the channel. Default: none. Channels under /global/ belong to no site. */
  siteId?: string | undefined;
}

export interface PublishOptions extends SiteOptions {
  /** Only these users, and the members of `groupIds`, get the message. Default: everyone. */
  userIds?: readonly Id[] | undefined;
  /** Only the members of these groups, and `userIds`, get the message. Default: everyone. */
  groupIds?: readonly Id[] | undefined;
  /**
   * Only these clients get the message, and of them only those that `userIds` and `groupIds` allow. Default: all
   * clients.
   */
  clientIds?: readonly Id[] | undefined;
  /**
   * Number of messages that the channel keeps from here on. Default: the bus-wide setting. For a lower number than that
   * setting, the database role needs a right of its own, or else the publish fails with POSTBUS_MAY_NOT_SHRINK.
   */
  maxBacklogSize?: number | undefined;
  /** Seconds for which this message can be read. Default: the bus-wide setting. */
  maxBacklogAge?: number | undefined;
  /** Publishes in the transaction that this client has open, with the rights of its role: at its commit, or never. */
  client?: PublishClient | undefined;
}

/** A message of publishMany(). */
export interface ManyMessage<Data = unknown> extends Omit<PublishOptions, 'client'> {
  /** The channel to publish to. */
  channel: string;
  /** The data of the message: anything that JSON, or the codec of the bus, can carry. */
  data: Data;
}

export interface PublishManyOptions extends SiteOptions {
  /** Publishes in the transaction that this client has open, as the same option of publish() does. */
  client?: PublishClient | undefined;
}

const ofEachMessage = {
  userIds: true,
  groupIds: true,
  clientIds: true,
  siteId: true,
  maxBacklogSize: true,
  maxBacklogAge: true,
} as const;

export const publishKeys = new KnownKeys<PublishOptions>('publish()', { ...ofEachMessage, client: true });

export const manyKeys = new KnownKeys<PublishManyOptions>('publishMany()', { siteId: true, client: true });

export const messageKeys = new KnownKeys<ManyMessage>('a message of publishMany()', {
  channel: true,
  data: true,
  ...ofEachMessage,
});
