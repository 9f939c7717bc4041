import t from 'tap';
import { Meter } from '../../src/foundation/meter.js';

t.test('a meter tells the total, and the rate of the last minute', async (t) => {
  let ms = 5_000_500;
  const meter = new Meter({ now: () => ms });
  t.strictSame(meter.read(), { total: 0, perSecond: 0 });
  meter.mark();
  meter.mark(4);
  t.strictSame(meter.read(), { total: 5, perSecond: 5 }, 'of the time since it began, where that is less');
  ms += 9_000;
  meter.mark(5);
  t.strictSame(meter.read(), { total: 10, perSecond: 1 });
  ms += 50_000;
  meter.mark(2);
  t.strictSame(meter.read(), { total: 12, perSecond: 0.2 });
  ms += 1_000;
  t.strictSame(meter.read(), { total: 12, perSecond: 0.1 }, 'the first five are more than a minute ago');
  ms += 3_600_000;
  t.strictSame(meter.read(), { total: 12, perSecond: 0 });
  for (let second = 0; second < 300; second++) {
    meter.mark(7);
    ms += 1_000;
  }
  ms -= 1_000;
  t.strictSame(meter.read(), { total: 12 + 2_100, perSecond: 7 });
});
