import type { Id } from '../foundation/checks.js';
import { KnownKeys } from '../foundation/known-keys.js';
import type { PublishClient } from './publish-with-client.js';

export interface SiteOptions {
  /** The tenant; none unless said otherwise. Channels under /global/ belong to none. */
  siteId?: string | undefined;
}

export interface PublishOptions extends SiteOptions {
  /** Only these users, or the members of groupIds. Left out: everyone. */
  userIds?: readonly Id[] | undefined;
  groupIds?: readonly Id[] | undefined;
  /** Only these clients; narrows userIds and groupIds further. */
  clientIds?: readonly Id[] | undefined;
  /**
   * Keep this many messages in the channel from here on; left out: the bus-wide setting. Fewer than that take a right of the role
   * (POSTBUS_MAY_NOT_SHRINK).
   */
  maxBacklogSize?: number | undefined;
  /** Seconds for which this message can be read; left out: the bus-wide setting. */
  maxBacklogAge?: number | undefined;
  /** Publishes in the transaction that this client has open, with the rights of its role: at its commit, or never. */
  client?: PublishClient | undefined;
}

/** A message of publishMany(). */
export interface ManyMessage<Data = unknown> extends Omit<PublishOptions, 'client'> {
  channel: string;
  data: Data;
}

export interface PublishManyOptions extends SiteOptions {
  /** As in publish(). */
  client?: PublishClient | undefined;
}

export const publishKeys = new KnownKeys<PublishOptions>('publish()', {
  userIds: true,
  groupIds: true,
  clientIds: true,
  siteId: true,
  maxBacklogSize: true,
  maxBacklogAge: true,
  client: true,
});

export const manyKeys = new KnownKeys<PublishManyOptions>('publishMany()', { siteId: true, client: true });

export const messageKeys = new KnownKeys<ManyMessage>('a message of publishMany()', {
  channel: true,
  data: true,
  userIds: true,
  groupIds: true,
  clientIds: true,
  siteId: true,
  maxBacklogSize: true,
  maxBacklogAge: true,
});
