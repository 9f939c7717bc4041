import Fastify from 'fastify';
import t from 'tap';
import postbus from '../../src/fastify/index.js';
import { openBus } from '../helpers/bus.js';

t.test('the plugin registered twice says so; each in a scope of its own, there may be several', async (t) => {
  const bus = openBus(t, 'postgres://127.0.0.1:1/none');
  const twice = { code: 'POSTBUS_REGISTERED_TWICE', message: /scope of its own/ };
  const app = Fastify();
  app.register(postbus, { bus });
  app.register(postbus, { bus, prefix: '/other' });
  await t.rejects(Promise.resolve(app.ready()), twice);

  const around = Fastify();
  await around.register(postbus, { bus });
  await t.rejects(
    Promise.resolve(around.register(async (scope) => scope.register(postbus, { bus, prefix: '/in' }))),
    twice,
  );

  const apart = Fastify();
  for (const prefix of ['/one', '/two']) apart.register(async (scope) => scope.register(postbus, { bus, prefix }));
  await apart.ready();
  for (const prefix of ['/one', '/two']) {
    const { statusCode } = await apart.inject({ method: 'OPTIONS', url: `${prefix}/message-bus/c/poll` });
    t.equal(statusCode, 200);
  }
  await apart.close();
});
