import { mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import type { Cursor } from '../../src/delivery/cursor.js';
import { Dispatcher } from '../../src/delivery/dispatcher.js';
import { SimulatedBus } from './fixtures/simulated-bus.js';
import { Witness } from './fixtures/witness.js';

// Retries of failed reads wait for the test, and so does time.
mock.timers.enable({ apis: ['setTimeout'] });
let seconds = 0;
mock.method(performance, 'now', () => seconds * 1000);

const channels = ['/a', '/b'];
const which = fc.nat({ max: 20 });
const channel = fc.constantFrom(...channels);

const size = fc.integer({ min: 1, max: 12 });
const age = fc.integer({ min: 1, max: 60 });

const seldom = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: value });

const action = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      channel,
      inline: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
      size: seldom(size),
      age: seldom(age),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('deliver' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constant('open' as const),
      channel: fc.constantFrom(...channels, null),
      from: fc.integer({ min: -4, max: 8 }),
      fresh: fc.boolean(),
      patience: fc.option(fc.integer({ min: 1, max: 5 }), { freq: 3 }),
      pageSize: fc.option(fc.integer({ min: 1, max: 3 }), { freq: 2 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('empty' as const), which }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('all arrives' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), which }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('run a read' as const), which }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('answer a read' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail a read' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replay' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 40 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('configure' as const), size: fc.option(size), age: fc.option(age) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('expire all' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('lose the connection', 'notice the loss', 'listen', 'be connected', 'retry'),
    }),
  },
);
type Step = (typeof action extends fc.Arbitrary<infer Action> ? Action : never) & { pause: boolean };
const steps = fc.array(
  fc.tuple(action, fc.boolean()).map(([step, pause]) => ({ ...step, pause })),
  { maxLength: 150, size: 'max' },
);

const plain = { size: null, age: null, pause: false };
const publishInline: Step = { do: 'publish', channel: '/a', inline: true, ...plain };

// A catch-up looked before messages could be read again; it arrives while a cursor opened since then reads its pages.
const heldFromBefore: Step[] = [
  { do: 'open', channel: null, from: 0, fresh: false, patience: null, pageSize: null, pause: false },
  { do: 'configure', ...plain, age: 1 },
  { do: 'listen', pause: false },
  { do: 'run a read', which: 0, pause: false },
  { do: 'publish', channel: '/a', inline: false, ...plain },
  ...Array.from({ length: 6 }, () => publishInline),
  { do: 'answer a read', which: 0, pause: false },
  { do: 'wait', seconds: 1, pause: false },
  { do: 'deliver', count: 1, pause: false },
  { do: 'run a read', which: 0, pause: false },
  { do: 'configure', ...plain, age: 2 },
  { do: 'open', channel: null, from: 0, fresh: false, patience: null, pageSize: null, pause: false },
];

class Run {
  readonly clock = () => 5_000_000 + seconds;
  readonly bus = new SimulatedBus(this.clock);
  readonly dispatcher = new Dispatcher({ reader: this.bus, onTrouble: () => {} });
  readonly cursors: [Cursor, Witness][] = [];

  async take(step: Step): Promise<void> {
    const { bus, dispatcher } = this;
    switch (step.do) {
      case 'publish':
        bus.publish('', step.channel, step);
        break;
      case 'deliver':
        bus.deliver(dispatcher, step.count);
        break;
      case 'open':
        this.open(step);
        break;
      case 'empty':
        this.empty(step.which);
        break;
      case 'close':
        this.close(step.which);
        break;
      case 'run a read':
        bus.runRead(step.which);
        break;
      case 'answer a read':
        bus.answerRead(step.which);
        break;
      case 'fail a read':
        bus.failRead(step.which);
        break;
      case 'replay':
        bus.replay(dispatcher, step.which);
        break;
      case 'wait':
        seconds += step.seconds;
        bus.timePassed();
        break;
      case 'configure':
        bus.configure(step);
        break;
      case 'expire all':
        bus.expireAll();
        break;
      case 'all arrives':
        if (dispatcher.isConnected) await this.calm();
        break;
      case 'lose the connection':
        bus.loseConnection();
        break;
      case 'notice the loss':
        bus.noticeLoss(dispatcher);
        break;
      case 'listen':
        bus.listen(dispatcher);
        break;
      case 'be connected':
        bus.connected(dispatcher);
        break;
      case 'retry':
        mock.timers.tick(10_000);
        break;
    }
  }

  open({ channel, from, fresh, patience, pageSize }: Extract<Step, { do: 'open' }>): void {
    const { bus, dispatcher } = this;
    const witness = new Witness(
      {
        all: () => (channel === null ? bus.messages : bus.channelOf('', channel)),
        idOf: (message) => (channel === null ? message.globalId : message.messageId),
        moment: () => bus.moment,
        clock: this.clock,
      },
      from,
      fresh || !dispatcher.isConnected,
      patience ?? Number.POSITIVE_INFINITY,
      pageSize ?? Number.POSITIVE_INFINITY,
    );
    const cursor = channel === null ? dispatcher.openAll(from, witness) : dispatcher.open('', channel, from, witness);
    this.cursors.push([cursor, witness]);
    witness.isInStart = true;
    cursor.start(fresh);
    witness.isInStart = false;
  }

  close(which: number): void {
    const [cursor, witness] = this.cursors[which % this.cursors.length] ?? [];
    if (!cursor || !witness || witness.state === 'failed') return;
    cursor.close();
    witness.state = 'closed';
  }

  empty(which: number): void {
    const [cursor, witness] = this.cursors[which % this.cursors.length] ?? [];
    if (cursor && witness) witness.empty(cursor);
  }

  connect(): void {
    this.bus.listen(this.dispatcher);
    this.bus.connected(this.dispatcher);
  }

  /** Connected, everything delivered, every read answered. */
  async settle(): Promise<void> {
    const { bus, dispatcher } = this;
    if (!bus.isListening) bus.noticeLoss(dispatcher);
    this.connect();
    await this.calm();
    // Page after page, until all have all.
    while (this.cursors.some(([cursor, { state }]) => state === 'full' || (state === 'live' && !cursor.isLive))) {
      for (const [cursor, witness] of this.cursors) witness.empty(cursor);
      await this.calm();
    }
  }

  async calm(): Promise<void> {
    const { bus, dispatcher } = this;
    for (let quiet = 0; quiet < 3; quiet++) {
      await turn();
      mock.timers.tick(10_000);
      bus.deliver(dispatcher, Number.POSITIVE_INFINITY);
      while (bus.isReading) {
        bus.runRead(0);
        bus.answerRead(0);
        quiet = 0;
      }
    }
  }
}

t.test(
  'whatever the order of commits, notifications, reads and reconnects: none lost, none twice, in order',
  async (t) => {
    let fromMemory = 0;
    await fc.assert(
      fc.asyncProperty(fc.boolean(), steps, async (isConnected, steps) => {
        const run = new Run();
        if (isConnected) run.connect();
        for (const step of steps) {
          await run.take(step);
          if (step.pause) await turn();
        }
        await run.settle();
        for (const [cursor, witness] of run.cursors) witness.conclude(cursor);
        for (const [, witness] of run.cursors) fromMemory += witness.fromMemory;
        const complaints = run.cursors.flatMap(([, witness]) => witness.complaints);
        if (complaints.length > 0) throw new Error(complaints.join('\n'));
        const live = run.cursors.filter(([, witness]) => witness.state === 'live').length;
        if (run.dispatcher.counts.cursors !== live) throw new Error('cursors were left behind');
        run.dispatcher.close();
      }),
      { numRuns: 3000, examples: [[false, heldFromBefore]] },
    );
    t.ok(fromMemory > 100, `${fromMemory} messages from memory`);
  },
);
