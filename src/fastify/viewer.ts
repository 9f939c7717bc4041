import type { FastifyRequest } from 'fastify';
import { checkId, checkSite } from '../foundation/checks.js';
import { errors } from '../foundation/errors.js';
import type { Viewer } from '../messages/visibility.js';
import type { Settings } from './options.js';

/** Who a request comes from, and to which site ('': none). */
export interface Requester {
  viewer: Viewer;
  site: string;
}

/**
 * Asks the lookups who a request comes from. One that throws, rejects or answers nonsense fails the poll: it is never
 * taken for nobody or everybody.
 *
 * Without a promise where none of them is async: the hot path of most applications.
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

/** A throw is a rejection: were it to go further, nobody would look after the promises of the lookups before. */
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

/** Not only a Promise of Node's own: query builders are asked for their rows in the same way. */
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
