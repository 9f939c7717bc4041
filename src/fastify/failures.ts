import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { errors, isPostbusError } from '../foundation/errors.js';
import { ThrottledLogByCode } from '../foundation/throttled-log.js';
import { checkHeaders } from './extra-headers.js';
import type { ErrorReply, PostbusOptions } from './options.js';

/** Returns the error handler for polls: the answer of onError if it returns one, or else the standard answer. */
export function createErrorHandler(onError: PostbusOptions['onError']) {
  // An outage of the database fails the polls of all clients, again and again: log each code once a minute.
  const failures = new ThrottledLogByCode<FastifyRequest>((err, count, request) =>
    request.log.error(isPostbusError(err) ? { err, count } : { err }, 'a poll failed'),
  );
  return async (error: FastifyError, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    // If a hook of the application fails, those of the plugin, which set this header, may not have run.
    reply.header('x-content-type-options', 'nosniff');
    // Errors that the operator has caused, by turning the bus off or stopping the server, are not logged.
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
  // A body that cannot be written as JSON fails here, while the standard answer can still be sent.
  const text = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
  if (text !== body) reply.type('application/json; charset=utf-8');
  return reply.code(statusCode).headers(checked).send(text);
}

/**
 * Sends the standard answer. If the request is at fault (4xx), the client gets the whole message. If the server is, it
 * gets the code alone: the message may name hosts and users, and is for the log.
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

/** True for errors that the operator has caused by bus.off() or by stopping the server: they need no log line. */
function isKnown(error: FastifyError): boolean {
  return error instanceof errors.OFF || error instanceof errors.STOPPING;
}

function statusOf(error: FastifyError): number {
  return error.statusCode ?? 500;
}
