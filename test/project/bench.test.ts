import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { AcknowledgedIds } from '../../bench/database/acknowledged-ids.js';
import { type Delivery, FrameDecoder, FrameSplitter } from '../../bench/generator/frames.js';
import { Histogram } from '../../bench/generator/histogram.js';
import { ResponseReader } from '../../bench/generator/response-reader.js';
import { type Goal, isReached, type Line, ratio } from '../../bench/measurement.js';
import type { Result } from '../../bench/results.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

t.test('a run proves its checker, measures, and writes the page', async (t) => {
  const out = t.testdir();
  const { code, output } = await run(['dist-bench/main.js', '--smoke', '--only', '5,14', '--out', out]);
  t.equal(code, 0, output);
  for (const mode of ['stream', 'long poll']) {
    t.match(output, `right: no fault, ${mode}: nothing`);
    t.match(output, new RegExp(`right: lost messages, ${mode}: .*missing`));
    t.match(output, new RegExp(`right: doubled messages, ${mode}: .*twice`));
    t.match(output, new RegExp(`right: messages out of order, ${mode}: .*missing`));
  }
  t.strictSame(readdirSync(join(out, 'results')), ['05-bus-publish-crowded.json', '14-queries-per-subscriber.json']);
  const crowded: Result = JSON.parse(readFileSync(join(out, 'results/05-bus-publish-crowded.json'), 'utf8'));
  const [sessions, functions] = crowded.outcome.profiles ?? [];
  t.match(functions?.shares[0]?.[0], /^\w+\(\), [\d.]+ µs a call$/);
  t.match(sessions?.of, 'busy sessions of Postgres: bus, 512 in flight');
  const page = readFileSync(join(out, 'benchmarks.md'), 'utf8');
  t.match(page, '**Provisional:**');
  t.match(
    page,
    /\| bus\.publish\(\), 512 in flight, one channel \| ≥ 1.5 × INSERT, 32 connections \| [\d,]+ messages\/s \|/,
  );
  const plots = [...page.matchAll(/!\[.*?\]\((.*?)\)/g)].map(([, path]) => path ?? '');
  t.strictSame(plots, ['benchmarks/publishing.svg']);
  for (const plot of plots) t.ok(existsSync(join(out, plot)), plot);
});

t.test('ids that were answered are checked', async (t) => {
  const check = (answered: number[], lastId: number, inOrder = true) => {
    const ids = new AcknowledgedIds(1);
    for (const id of answered) {
      const { ids: list, place } = ids.expect(0);
      list[place] = id;
    }
    return ids.faults([10], [lastId], inOrder).length;
  };
  t.equal(check([11, 12, 13], 13), 0);
  t.equal(check([12, 11, 13], 13, false), 0, 'connections of their own have no order');
  t.not(check([12, 11, 13], 13), 0, 'out of order');
  t.not(check([11, 13], 13, false), 0, 'a gap');
  t.not(check([11, 12, 12], 13, false), 0, 'twice');
  t.not(check([11, 12], 13, false), 0, 'the last one was not answered');
});

t.test('responses are read whatever the pieces they come in', async (t) => {
  const message = (id: number) => `{"message_id":${id},"channel":"/a","data":{"run":1,"n":${id},"at":5}}`;
  const frame = `[${message(7)},${message(8)}]\r\n|\r\n`;
  const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n';
  const bytes = Buffer.from(
    `${head}Transfer-Encoding: chunked\r\n\r\n${frame.length.toString(16)}\r\n${frame}\r\n0\r\n\r\n` +
      `${head}Content-Length: 2\r\n\r\n[]HTTP/1.1 204 No Content\r\n\r\n`,
  );
  for (let size = 1; size <= bytes.length; size++) {
    const seen: string[] = [];
    const distinct: Delivery[] = [];
    const decoder = new FrameDecoder((delivery) => distinct.push(delivery));
    const splitter = new FrameSplitter();
    const reader = new ResponseReader({
      onHead: (status) => seen.push(String(status)),
      onBody: (text) => {
        const whole = splitter.push(text);
        if (whole !== '') seen.push(...decoder.decode(whole).deliveries.map(({ id }) => `message ${id}`));
      },
      onEnd: () => {
        seen.push('end');
        splitter.reset();
      },
    });
    for (let at = 0; at < bytes.length; at += size) {
      const piece = bytes.subarray(at, at + size);
      reader.push(piece, piece.length);
    }
    if (seen.join() !== '200,message 7,message 8,end,200,end,204,end') t.fail(`pieces of ${size}: ${seen}`);
    if (distinct.length !== 2) t.fail(`pieces of ${size}: ${distinct.length} messages`);
  }
});

t.test('quantiles are exact to two percent', async (t) => {
  const histogram = new Histogram();
  for (let us = 1; us <= 1_000_000; us += 7) histogram.add(us);
  const merged = Histogram.merge([histogram, histogram]);
  for (const share of [0.01, 0.5, 0.95, 0.99]) {
    t.ok(Math.abs(merged.quantile(share) / (share * 1000) - 1) < 0.02, `${share}: ${merged.quantile(share)}`);
  }
  t.ok(Number.isNaN(new Histogram().quantile(0.5)));
});

t.test('goals compare medians', async (t) => {
  const line = (floor: number[], measured: number[], goal: Goal): Line => ({
    what: '',
    unit: '',
    floor: { name: '', values: floor, generatorBusy: 0 },
    measured: { name: '', values: measured, generatorBusy: 0 },
    goal,
  });
  t.equal(ratio(line([1, 100, 10], [40, 20, 0], { atLeast: 2 })), 2);
  t.equal(isReached(line([1, 100, 10], [40, 20, 0], { atLeast: 2 })), true);
  t.equal(isReached(line([1, 100, 10], [40, 20, 0], { atLeast: 2.1 })), false);
  t.equal(isReached(line([10], [21], { atMost: 2 })), false);
  t.equal(ratio(line([0], [0], { atMost: 1 })), undefined);
  t.equal(isReached(line([0], [0], { atMost: 1 })), true);
  t.equal(isReached(line([0], [1], { atMost: 1 })), false);
});

function run(args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, NODE_OPTIONS: '' } });
  let output = '';
  const add = (text: string) => {
    output += text;
  };
  child.stdout.setEncoding('utf8').on('data', add);
  child.stderr.setEncoding('utf8').on('data', add);
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })));
}
