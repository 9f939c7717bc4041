import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Meter } from '../foundation/meter.js';
import { createErrorHandler } from './failures.js';
import type { PostbusOptions, Settings } from './options.js';
import type { PollBudget } from './polls/poll-budget.js';
import { lookupFailure } from './viewer.js';

export interface DiagnosticsOptions {
  settings: Settings;
  budget: PollBudget;
  /** Counts the polls that came in. */
  polled: Meter;
}

/**
 * Serves the state of the bus to administrators; everybody else gets the same answer as at an unknown address. The
 * route has a scope of its own, because the headers that polls are answered with would give it away.
 */
export async function diagnostics(app: FastifyInstance, options: DiagnosticsOptions): Promise<void> {
  const { settings, budget, polled } = options;
  const { bus, isAdminLookup, maxActiveClients, maxWaitingChannels } = settings;
  if (!isAdminLookup) return;
  app.setErrorHandler(createErrorHandler(settings.onError));
  app.get('/message-bus/_diagnostics', async (request, reply) => {
    if (!(await isAdmin(request, isAdminLookup))) {
      reply.callNotFound();
      return reply;
    }
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
    return {
      ...(await bus.diagnostics()),
      clients: {
        waiting: budget.waiting,
        maxActiveClients,
        waitingChannels: budget.waitingChannels,
        maxWaitingChannels,
        polls: polled.read(),
      },
    };
  });
}

async function isAdmin(
  request: FastifyRequest,
  lookup: NonNullable<PostbusOptions['isAdminLookup']>,
): Promise<boolean> {
  try {
    const answer: unknown = (await lookup(request)) ?? false;
    if (typeof answer === 'boolean') return answer;
    throw new TypeError('isAdminLookup must answer true or false');
  } catch (error) {
    throw lookupFailure('isAdminLookup', request, error);
  }
}
