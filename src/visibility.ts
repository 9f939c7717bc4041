import type { StoredMessage } from './message.js';

/** Who reads: what the lookups said of a request. */
export interface Viewer {
  clientId: string;
  userId: string | null;
  groupIds: readonly string[];
}

/**
 * Whether a viewer may see a message: the one rule, for backlogs, parked polls and streams alike. The client id is
 * listed, or none are; and the user or one of the groups is listed, or neither list was given.
 */
export function maySee(message: StoredMessage, viewer: Viewer): boolean {
  const targets = message.targets;
  if (targets === null) return true;
  const { userIds, groupIds, clientIds } = targets;
  if (clientIds && !clientIds.includes(viewer.clientId)) return false;
  if (!userIds && !groupIds) return true;
  if (userIds && viewer.userId !== null && userIds.includes(viewer.userId)) return true;
  return groupIds ? groupIds.some((id) => viewer.groupIds.includes(id)) : false;
}
