import {
  checkChannel,
  checkLimit,
  checkSite,
  checkTargets,
  encodeData,
  isGlobal,
  siteOf,
} from '../foundation/checks.js';
import { errors } from '../foundation/errors.js';
import type { Publication } from './publication.js';
import { type PublishOptions, publishKeys } from './publish-options.js';

/** Checks what publish() was given. */
export function checkPublication(channel: string, data: unknown, options: PublishOptions): Publication {
  publishKeys.check(options);
  const checked = checkChannel(channel);
  const publication = {
    channel: checked,
    json: encodeData(data),
    userIds: checkTargets(options.userIds, 'userIds'),
    groupIds: checkTargets(options.groupIds, 'groupIds'),
    clientIds: checkTargets(options.clientIds, 'clientIds'),
    site: siteOf(checkSite(options.siteId), checked),
    maxBacklogSize: checkLimit(options.maxBacklogSize, 'maxBacklogSize'),
    maxBacklogAge: checkLimit(options.maxBacklogAge, 'maxBacklogAge'),
  };
  if (isGlobal(checked) && (publication.userIds || publication.groupIds)) {
    const argument = publication.userIds ? 'userIds' : 'groupIds';
    throw new errors.BAD_TARGETS(argument, 'a channel under /global/ has no users or groups. Target clientIds');
  }
  return publication;
}
