import { spawn, spawnSync } from 'node:child_process';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { type Block, blocksOf, readPage } from '../helpers/documentation.js';
import { form, send } from '../helpers/http.js';
import { listen } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const blocks = blocksOf(await readPage('docs/http.md'));
const address = 'http://127.0.0.1:3000';
const hasCurl = spawnSync('curl', ['--version']).status === 0;

/** A command under way, and what it has printed so far. */
function runCommand(t: Test, command: string) {
  const child = spawn('/bin/sh', ['-c', command]);
  t.teardown(() => child.kill());
  const running = { command, output: '', ended: false };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    running.output += text;
  });
  child.on('close', () => {
    running.ended = true;
  });
  return running;
}

const lineFeeds = (text: string) => text.replaceAll('\r\n', '\n');

function compare(t: Test, { language, text }: Block, { command, output }: { command: string; output: string }): void {
  if (language === 'json') t.strictSame(JSON.parse(output), JSON.parse(text), command);
  else if (language === 'text') t.equal(lineFeeds(output), text, command);
  else {
    const lines = output.split('\r\n');
    for (const line of text.trimEnd().split('\n')) t.ok(lines.includes(line), `${command}${line}`);
  }
}

t.test('the examples of docs/http.md', { skip: !hasCurl && 'there is no curl' }, async (t) => {
  const { url: database, query } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, { bus });
  const { url: withoutDatabase } = await listen(t, { bus: openBus(t, 'postgres://nobody@127.0.0.1:1/none') });
  await until(() => bus.isConnected, 'the bus listens');

  let running: ReturnType<typeof runCommand> | undefined;
  let last = '';
  for (const block of blocks) {
    const { language, text } = block;
    if (language === 'sh') {
      t.equal(running, undefined, `the page shows what ${running?.command} answers`);
      t.ok(text.includes(address));
      running = runCommand(t, text.replace(address, url));
      last = text;
    } else if (language === 'sql') {
      // Between a poll and its answer: the poll waits for it; a stream has begun.
      const poll = running;
      const isStream = poll?.command.includes(' -sN ');
      if (poll)
        await until(
          () => (isStream ? poll.output !== '' : internalsOf(bus).dispatcher.counts.cursors > 0),
          `${text} waits`,
        );
      t.notOk(poll?.ended, 'the poll has not ended');
      await query(text);
    } else {
      // An answer without a poll is the one above it, given without a database.
      const poll = running ?? runCommand(t, last.replace(address, withoutDatabase).replace('__orders', '/orders'));
      if (language === 'text') {
        // All but its end, for which the client's next poll stands in here.
        await until(() => lineFeeds(poll.output).length >= text.length - '[]\n|\n'.length, 'the stream brought all');
        await send(`${url}/message-bus/c1/poll?dlp=t`);
      }
      await until(() => poll.ended, `${poll.command} has ended`);
      compare(t, block, poll);
      running = undefined;
    }
  }
  t.equal(running, undefined, 'the last answer is shown');

  const twice = await send(`${url}/message-bus/c1?dlp=t`, { headers: form, body: '/orders=0&/orders=4' });
  t.equal(twice.text, '[]', 'a channel that is named twice counts with its last id');
});
