import type { FastifyRequest } from 'fastify';
import { checkId, checkSite } from '../foundation/checks.js';
import { errors } from '../foundation/errors.js';
import type { Viewer } from '../messages/visibility.js';
import type { Settings } from './options.js';

/** Who a request comes from, and for which site ('' for none). */
export interface Requester {
  viewer: Viewer;
  site: string;
}

/**
 * Asks the application's lookups who a request comes from. A lookup that throws, rejects or returns nonsense fails the
 * poll: its viewer is never taken for nobody, nor for somebody with access to everything.
 *
 * Returns no promise unless a lookup is async, because in most applications none is and this runs for every poll.
 *
 * @throws POSTBUS_LOOKUP_FAILED
 */
export function lookUp(request: FastifyRequest, clientId: string, settings: Settings): Requester | Promise<Requester> {
  const userId = call(request, settings.userIdLookup);
  const groupIds = call(request, settings.groupIdsLookup);
  const siteId = call(request, settings.siteIdLookup);
  if (isThenable(userId) || isThenable(groupIds) || isThenable(siteId)) {
    return Promise.all([
      settle('userIdLookup', request, userId),
      settle('groupIdsLookup', request, groupIds),
      settle('siteIdLookup', request, siteId),
    ]).then(([user, groups, site]) => check(request, clientId, user, groups, site));
  }
  return check(request, clientId, userId, groupIds, siteId);
}

/**
 * Calls a lookup; turns a throw into a rejection. If it threw, nobody would handle rejections of the lookups called
 * before.
 */
function call<Answer>(
  request: FastifyRequest,
  lookup: ((request: FastifyRequest) => Answer) | undefined,
): Answer | Promise<never> | undefined {
  try {
    return lookup?.(request);
  } catch (error) {
    return Promise.reject(error);
  }
}

/** True for any thenable, not only for a Promise: query builders are awaited for their rows in the same way. */
function isThenable(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'then' in answer && typeof answer.then === 'function';
}

async function settle<Answer>(
  name: string,
  request: FastifyRequest,
  answer: Answer | Promise<Answer>,
): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    throw lookupFailure(name, request, error);
  }
}

function check(
  request: FastifyRequest,
  clientId: string,
  userId: unknown,
  groupIds: unknown,
  siteId: unknown,
): Requester {
  const checked = <T>(name: string, what: () => T): T => {
    try {
      return what();
    } catch (error) {
      throw lookupFailure(name, request, error);
    }
  };
  return {
    site: checked('siteIdLookup', () => checkSite(siteId, 'siteIdLookup')) ?? '',
    viewer: {
      clientId,
      userId: checked('userIdLookup', () =>
        userId === null || userId === undefined ? null : checkId(userId, 'userIdLookup'),
      ),
      groupIds: checked('groupIdsLookup', () => toGroupIds(groupIds)),
    },
  };
}

function toGroupIds(groupIds: unknown): string[] {
  if (groupIds === null || groupIds === undefined) return [];
  if (!Array.isArray(groupIds)) throw new errors.BAD_TARGETS('groupIdsLookup', 'must answer a list of ids');
  return groupIds.map((id) => checkId(id, 'groupIdsLookup'));
}

export function lookupFailure(name: string, request: FastifyRequest, error: unknown): Error {
  request.log.error({ err: error }, `${name} failed`);
  const failure = new errors.LOOKUP_FAILED(name);
  failure.cause = error;
  return failure;
}
