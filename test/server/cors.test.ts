import t from 'tap';
import { startServer } from '../helpers/command.js';
import { createDatabase } from '../helpers/database.js';
import { json, send } from '../helpers/http.js';

const { url: DATABASE_URL } = await createDatabase(t);
const poll = (url: string, origin: string, method = 'POST') =>
  send(`${url}/message-bus/x/poll?dlp=t`, {
    method,
    headers: { ...json, origin },
    ...(method === 'POST' ? { body: '{"/a":0}' } : {}),
  });
const allowed = 'access-control-allow-origin';

t.test('pages of the origins that are named', async (t) => {
  const env = { DATABASE_URL, CORS_ORIGINS: 'https://one.example,http://localhost:8080' };
  const { url } = await startServer(t, ['--workers', '2'], { env });
  for (const origin of ['https://one.example', 'http://localhost:8080']) {
    for (const method of ['POST', 'OPTIONS']) {
      const { status, headers } = await poll(url, origin, method);
      t.match({ status, ...headers }, { status: 200, [allowed]: origin, vary: 'Origin' });
      t.equal(headers['access-control-allow-headers'], '*');
    }
  }
  for (const origin of ['https://other.example', 'https://one.example:444', 'null']) {
    const { headers } = await poll(url, origin);
    t.strictSame([headers[allowed], headers.vary], [undefined, 'Origin'], origin);
  }
  const { headers } = await send(`${url}/health/ready`, { method: 'GET', headers: { origin: 'https://one.example' } });
  t.notOk(allowed in headers, 'polls alone');
});

t.test('pages of all origins, or of no other', async (t) => {
  const open = await startServer(t, ['--cors-origins', '*'], { env: { DATABASE_URL } });
  t.match((await poll(open.url, 'https://any.example')).headers, { [allowed]: '*' });
  const closed = await startServer(t, [], { env: { DATABASE_URL } });
  t.notOk(allowed in (await poll(closed.url, 'https://any.example')).headers);
});
