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

/**
 * Checks the arguments of publish(); returns them as the message to send.
 *
 * @throws POSTBUS_BAD_CHANNEL, POSTBUS_BAD_DATA, POSTBUS_DATA_TOO_LARGE, POSTBUS_BAD_TARGETS, POSTBUS_BAD_SITE,
 * POSTBUS_BAD_LIMIT or POSTBUS_BAD_OPTION, for the first argument that is wrong
 */
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
