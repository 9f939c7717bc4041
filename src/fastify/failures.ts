import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { errors, isPostbusError } from '../foundation/errors.js';
import { ThrottledLogByCode } from '../foundation/throttled-log.js';
import { checkHeaders } from './extra-headers.js';
import type { ErrorReply, PostbusOptions } from './options.js';

/** Answers polls that fail: as onError wants it, or else in the standard way. */
export function createErrorHandler(onError: PostbusOptions['onError']) {
  // An outage of the database fails the polls of all clients, again and again.
  const failures = new ThrottledLogByCode<FastifyRequest>((err, count, request) =>
    request.log.error(isPostbusError(err) ? { err, count } : { err }, 'a poll failed'),
  );
  return async (error: FastifyError, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    // An earlier hook may have failed, before those of the plugin had their turn.
    reply.header('x-content-type-options', 'nosniff');
    // Whoever turned the bus off knows that it is.
    if (statusOf(error) >= 500 && !isKnown(error)) failures.report(error, request);
    if (onError) {
      try {
        const own = await onError(request, error);
        if (own !== undefined && own !== null) return sendOwn(own, reply);
      } catch (err) {
        request.log.error({ err }, 'onError failed');
      }
    }
    return sendStandard(error, reply);
  };
}

function sendOwn({ statusCode, headers, body }: ErrorReply, reply: FastifyReply): FastifyReply {
  if (!Number.isInteger(statusCode) || statusCode < 200 || statusCode > 599) {
    throw new errors.BAD_OPTION('onError', 'must answer { statusCode, headers?, body? }, or undefined');
  }
  const checked = checkHeaders(headers);
  // Whatever cannot be sent fails here, while the standard answer still can.
  const text = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
  if (text !== body) reply.type('application/json; charset=utf-8');
  return reply.code(statusCode).headers(checked).send(text);
}

/**
 * What is wrong with a request is told in full. What is wrong with the server only by its code: the words may name hosts
 * and users, and are for the log.
 */
function sendStandard(error: FastifyError, reply: FastifyReply): FastifyReply {
  const status = statusOf(error);
  const isRequests = status >= 400 && status < 500;
  const failed = new errors.POLL_FAILED();
  return reply.code(status).send({
    statusCode: status,
    code: isRequests || isPostbusError(error) ? error.code : failed.code,
    error: STATUS_CODES[status] ?? 'Error',
    message: isRequests ? error.message : failed.message,
  });
}

/** Nobody needs to be told of what they have done themselves. */
function isKnown(error: FastifyError): boolean {
  return error instanceof errors.OFF || error instanceof errors.STOPPING;
}

function statusOf(error: FastifyError): number {
  return error.statusCode ?? 500;
}
