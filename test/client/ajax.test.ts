import t from 'tap';
import { type Ajax, viaAjax } from '../../src/client/page/ajax.js';

const failure = new Error('no network');

t.test('an ajax that throws, or whose promise is rejected, fails the poll at once', async (t) => {
  const failing: Ajax[] = [
    () => {
      throw failure;
    },
    () => Promise.reject(failure),
    async () => {
      throw failure;
    },
    // A thenable that is no Promise, like a jqXHR of jQuery.
    // biome-ignore lint/suspicious/noThenProperty: that is what this one is about
    () => ({ then: (_resolve: unknown, reject: (error: Error) => void) => reject(failure) }),
  ];
  for (const ajax of failing) await t.rejects(viaAjax(ajax)('/', {}), failure);
});

t.test('an ajax whose promise is rejected in the middle of a stream fails what is left of it', async (t) => {
  const response = await viaAjax(async ({ messageBus }) => {
    const xhr = { status: 200, responseText: '[]\r\n|\r\n' };
    messageBus.onProgressListener(xhr)();
    throw failure;
  })('/', {});
  await t.rejects(response.text(), failure);
});

t.test('an ajax whose promise is rejected after the answer changes nothing', async (t) => {
  const response = await viaAjax(async ({ success }) => {
    success('[]\r\n|\r\n');
    throw failure;
  })('/', {});
  t.equal(await response.text(), '[]\r\n|\r\n');
  const refused = await viaAjax(async ({ error }) => {
    error({ status: 500, responseText: 'broken' });
    throw failure;
  })('/', {});
  t.equal(refused.status, 500);
});
