import type { ClientFilters } from './client-filters.js';
import { Batch } from './frame.js';
import type { StoredMessage } from './message.js';

/** Who reads: what the lookups said of a request. */
export interface Viewer {
  clientId: string;
  userId: string | null;
  groupIds: readonly string[];
}

/**
 * What a viewer may see of a batch: the one rule, for backlogs, parked polls and streams alike. The batch itself where
 * that is all of it, the usual case: everybody is sent the same bytes.
 */
export function visibleTo(viewer: Viewer, batch: Batch, filters: ClientFilters): Batch {
  const passed = filters.apply(batch);
  if (passed.isPublic) return passed;
  const messages = passed.messages.filter((message) => isFor(message, viewer));
  return messages.length === passed.messages.length ? passed : new Batch(messages);
}

/** The client id is listed, or none are; and the user or one of the groups is listed, or neither list was given. */
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

/** Thousands of viewers may be looked up in thousands of ids: one after the other, that would block the process. */
function isListed(id: string, ids: readonly string[]): boolean {
  if (ids.length <= longList) return ids.includes(id);
  let set = longLists.get(ids);
  if (set === undefined) {
    set = new Set(ids);
    longLists.set(ids, set);
  }
  return set.has(id);
}
