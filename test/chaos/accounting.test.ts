import t from 'tap';
import { Ledger, settle } from './accounting/ledger.js';
import type { Publication, Row } from './accounting/publication.js';
import { Reader, type Viewer } from './accounting/reader.js';
import { takeStock } from './accounting/take-stock.js';

const everyone = { userIds: null, groupIds: null, clientIds: null };

function published(tag: string, targets: Partial<Publication> = {}): Publication {
  return { channel: '/a', siteId: null, ...everyone, tag, ...targets };
}

function stored(id: number, publication: Publication): Row {
  return { ...publication, globalId: id, messageId: id, size: 10 };
}

const toAll = published('to all');
const toAnn = published('to ann', { userIds: ['ann'] });
const rows = [stored(1, toAll), stored(2, toAnn)];

/** Both messages were acknowledged under their ids. */
function makeLedger(): Ledger {
  const ledger = new Ledger();
  settle(ledger.open([toAll]), 'acknowledged', [1]);
  settle(ledger.open([toAnn]), 'acknowledged', [2]);
  return ledger;
}

function makeReader(received: readonly Row[], viewer?: Viewer): Reader {
  const reader = new Reader({ name: 'reader', ...(viewer && { viewer }), places: [{ channel: '/a', siteId: null }] });
  reader.receive(...received.map((row) => ({ ...row, at: Date.now() })));
  return reader;
}

const bob = { userId: 'bob', groupIds: [], clientId: 'tab' };

t.test('the accounting of the fault runs finds nothing wrong if all is well', async (t) => {
  const readers = [makeReader(rows), makeReader(rows.slice(0, 1), bob), makeReader(rows, { ...bob, userId: 'ann' })];
  const stock = takeStock({ ledger: makeLedger(), readers, rows });
  t.strictSame(stock.wrong, []);
  t.match(stock, { acknowledged: 2, delivered: 5, lost: 0, doubled: 0, leaked: 0 });
});

t.test('the accounting of the fault runs finds each thing that can be wrong with what a reader received', async (t) => {
  const [first, second] = rows;
  if (!first || !second) throw new Error('no rows');
  const account = (received: readonly Row[], viewer?: Viewer) =>
    takeStock({ ledger: makeLedger(), readers: [makeReader(received, viewer)], rows });
  t.match(account([first]), { lost: 1, wrong: ['reader: never received /a message 2 (global 2, to ann)'] });
  t.match(account([first, second, second]), { doubled: 1, lost: 0, wrong: [/message 2 .* twice/] });
  t.match(account(rows, bob), { leaked: 1, lost: 0, wrong: [/message 2 .* is for others/] });
  t.match(account([second, first]).wrong, [/received \/a message 1 .* after global 2/]);
  t.match(account([first, second, stored(3, toAll)]).wrong, [/received \/a message 3 .* the tables have none/]);
  t.match(account([{ ...first, tag: 'other' }, second]).wrong, [/where the tables have/, /never received/]);
  t.match(account([{ ...first, size: 9 }, second]).wrong, [/where the tables have/, /never received/]);
});

t.test(
  'the accounting of the fault runs finds each thing that can be wrong with what publishers were told',
  async (t) => {
    const account = (open: (ledger: Ledger) => void, tables = rows) => {
      const ledger = makeLedger();
      open(ledger);
      return takeStock({ ledger, readers: [], rows: tables }).wrong;
    };
    const third = published('third');
    const fourth = published('fourth');
    const more = [...rows, stored(3, third)];
    t.match(
      account((ledger) => settle(ledger.open([third]), 'acknowledged', [3])),
      [/third: acknowledged as 3, but only 0/],
    );
    t.match(
      account((ledger) => settle(ledger.open([third]), 'acknowledged', [4]), more),
      [/message 3 .* was told id 4/],
    );
    t.match(
      account((ledger) => settle(ledger.open([third]), 'refused'), more),
      [/third: refused, but in the tables/],
    );
    t.match(
      account((ledger) => ledger.open([third, fourth]), more),
      [/only 1 of one call in the tables/],
    );
    t.strictSame(
      account((ledger) => ledger.open([third]), more),
      [],
      'a message whose publisher cannot know may be there',
    );
    t.strictSame(
      account((ledger) => ledger.open([third])),
      [],
      'or not',
    );
    t.match(
      account(() => {}, more),
      [/message 3 .* was published by nobody/],
    );
    t.match(
      account(() => {}, [...rows, stored(3, toAll)]),
      [/to all is twice in the tables/],
    );
    const widened = rows.map((row) => ({ ...row, userIds: null }));
    t.match(
      account(() => {}, widened),
      [/message 2 .* is on \/a for \[null,null,null\], but was published/],
    );
    const holed = rows.map((row) => (row.tag === 'to ann' ? { ...row, globalId: 3, messageId: 3 } : row));
    t.match(
      account(() => {}, holed),
      [/follows/, /has the place of message 2/, /was told id 2/],
    );
  },
);

t.test('the accounting of the fault runs finds messages that did not commit with the row beside them', async (t) => {
  const wrong = (tags: string[]) =>
    takeStock({ ledger: makeLedger(), readers: [], rows, applied: new Map([['to ', new Set(tags)]]) }).wrong;
  t.strictSame(wrong(['to all', 'to ann']), []);
  t.match(wrong(['to all']), [/to ann: its message was committed, its row was not/]);
  const ledger = makeLedger();
  ledger.open([published('to nobody')]);
  const applied = new Map([['to ', new Set(['to all', 'to ann', 'to nobody'])]]);
  t.match(takeStock({ ledger, readers: [], rows, applied }).wrong, [
    /to nobody: its row was committed, its message was not/,
  ]);
});

t.test(
  'the accounting of a restore: what is new reaches everybody once, what was there before is not sent again',
  async (t) => {
    const [first, second] = rows;
    if (!first || !second) throw new Error('no rows');
    const fresh = published('fresh');
    const ledger = new Ledger();
    settle(ledger.open([fresh]), 'acknowledged', [3]);
    const restored = [first, second, { ...stored(7, fresh), messageId: 3 }];
    const account = (received: readonly Row[], viewer?: Viewer) => {
      const reader = makeReader([first], viewer);
      reader.beginAnew(2);
      reader.receive(...received.map((row) => ({ ...row, at: Date.now() })));
      reader.gaps.push('was told');
      return takeStock({ ledger, readers: [reader], rows: restored, restoredTo: 2 });
    };
    t.strictSame(account(restored.slice(1)).wrong, [], 'what it had not seen may come, too');
    t.match(account(restored), { doubled: 1, lost: 0, wrong: [/message 1 .* twice/] });
    t.match(account([]), { lost: 1, wrong: [/never received \/a message 3/] });
    t.match(account([], bob), { lost: 1, skipped: 0 }, 'a client that receives nothing any more is deaf');
  },
);
