import type { ClientFilters } from './client-filters.js';
import { Batch } from './frame.js';
import type { StoredMessage } from './message.js';

/** A client, as the application's lookups identified its request. */
export interface Viewer {
  clientId: string;
  userId: string | null;
  groupIds: readonly string[];
}

/**
 * Returns the messages of a batch that a viewer may see: the one rule for backlogs, parked polls and streams alike.
 * Returns the batch itself if the viewer may see all of it, which is the usual case: then everybody is sent the same
 * bytes.
 */
export function visibleTo(viewer: Viewer, batch: Batch, filters: ClientFilters): Batch {
  const passed = filters.apply(batch);
  if (passed.isPublic) return passed;
  const messages = passed.messages.filter((message) => isFor(message, viewer));
  return messages.length === passed.messages.length ? passed : new Batch(messages);
}

/**
 * True if the client id is listed or no client ids are given; and the user or one of the groups is listed, or neither
 * list is given.
 */
function isFor(message: StoredMessage, viewer: Viewer): boolean {
  const targets = message.targets;
  if (targets === null) return true;
  const { userIds, groupIds, clientIds } = targets;
  if (clientIds && !isListed(viewer.clientId, clientIds)) return false;
  if (!userIds && !groupIds) return true;
  if (userIds && viewer.userId !== null && isListed(viewer.userId, userIds)) return true;
  return groupIds ? viewer.groupIds.some((id) => isListed(id, groupIds)) : false;
}

const longList = 20;
const longLists = new WeakMap<readonly string[], ReadonlySet<string>>();

/**
 * True if the id is in the list. A long list becomes a Set once: looking up thousands of viewers in thousands of ids,
 * one after the other, would block the process.
 */
function isListed(id: string, ids: readonly string[]): boolean {
  if (ids.length <= longList) return ids.includes(id);
  let set = longLists.get(ids);
  if (set === undefined) {
    set = new Set(ids);
    longLists.set(ids, set);
  }
  return set.has(id);
}
