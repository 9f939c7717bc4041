import { randomUUID } from 'node:crypto';
import type { Bus } from '../bus/bus.js';
import type { Subscription } from '../bus/callback-subscription.js';
import { checkChannel } from '../foundation/checks.js';
import { errors } from '../foundation/errors.js';
import { KnownKeys } from '../foundation/known-keys.js';
import { consoleLogger } from '../foundation/logger.js';
import type { Message } from '../messages/message.js';
import { type Change, type Publication, readChange, undo } from './change.js';
import { type CacheValue, decode, encode } from './codec.js';
import { Entries } from './entries.js';
import { History } from './history.js';

export type { CacheValue } from './codec.js';

export interface DistributedCacheOptions {
  /** Caches of different sites have nothing in common. Default: no site. */
  siteId?: string | undefined;
  /** Only processes of the same version share values. */
  appVersion?: string | undefined;
  /** Called with the errors of getOrSet() when it cannot publish. Default: they are logged to the console. */
  onError?: ((error: unknown) => void) | undefined;
}

const cacheKeys = new KnownKeys<DistributedCacheOptions>('DistributedCache.open()', {
  siteId: true,
  appVersion: true,
  onError: true,
});

// A connection that has not begun to listen by then may never do so.
const patienceMs = 5_000;

/**
 * A map that processes keep in step through a channel. Every process applies the changes in the order of their ids. It
 * shows its own changes at once, and until their messages come back, nothing older can replace them. The map holds only
 * what is known to be up to date: it is empty while messages are not heard, and after some were missed.
 */
export class DistributedCache<Value extends NonNullable<unknown> | null = CacheValue>
  implements ReadonlyMap<string, Value>
{
  readonly #bus: Bus;
  readonly #channel: string;
  readonly #options: DistributedCacheOptions;
  readonly #entries = new Entries<Value>();
  #lastNumber = 0;
  readonly #history = new History();
  /** The highest message id that is known to be published. */
  #knownId = 0;
  /**
   * Marks this cache's own messages. It is also their only target, and no client has this id, so clients are shown none
   * of them.
   */
  readonly #origin = randomUUID();
  #beginning: Promise<void> | undefined;
  #subscription: Subscription | undefined;
  #isClosed = false;
  #tell = () => {};
  /** Resolves at the first `connected` or `disconnected`, or after patienceMs. */
  readonly #told = new Promise<void>((resolve) => {
    this.#tell = resolve;
  });
  readonly #onConnected = () => {
    this.#tell();
    return this.#begin();
  };
  readonly #onDisconnected = () => {
    this.#tell();
    this.#entries.forget();
  };

  private constructor(bus: Bus, channel: string, options: DistributedCacheOptions) {
    this.#bus = bus;
    this.#channel = channel;
    this.#options = options;
    bus.events.on('connected', this.#onConnected);
    bus.events.on('disconnected', this.#onDisconnected);
  }

  /**
   * Opens a cache, which begins empty. Resolves when it is in step. On a bus that is off or hears nothing, the cache
   * stays empty, and begins when that changes.
   *
   * @throws POSTBUS_BAD_OPTION if an argument is not usable; the errors of bus.connect() and bus.subscribe()
   */
  static async open<Value extends NonNullable<unknown> | null = CacheValue>(
    bus: Bus,
    name: string,
    options: DistributedCacheOptions = {},
  ): Promise<DistributedCache<Value>> {
    if (typeof bus?.subscribe !== 'function') throw new errors.BAD_OPTION('bus', 'must be a bus, from createBus()');
    if (typeof name !== 'string' || name === '') throw new errors.BAD_OPTION('name', 'must be a string');
    cacheKeys.check(options);
    const { appVersion, onError } = options;
    if (appVersion !== undefined && typeof appVersion !== 'string') {
      throw new errors.BAD_OPTION('appVersion', 'must be a string');
    }
    if (onError !== undefined && typeof onError !== 'function') {
      throw new errors.BAD_OPTION('onError', 'must be a function');
    }
    const cache = new DistributedCache<Value>(bus, checkChannel(`/distributed-cache/${name}`, 'name'), options);
    try {
      // A bus that is off begins to listen once it is on again: then the cache begins, too.
      if (bus.isOff) await bus.connect();
      else await cache.#begin();
    } catch (error) {
      await cache.close();
      throw error;
    }
    if (!bus.isOff && !bus.isConnected) await cache.#untilTold();
    return cache;
  }

  get(key: string): Value | undefined {
    return this.#entries.values.get(key);
  }

  has(key: string): boolean {
    return this.#entries.values.has(key);
  }

  get size(): number {
    return this.#entries.values.size;
  }

  keys(): IterableIterator<string> {
    return this.#entries.values.keys();
  }

  values(): IterableIterator<Value> {
    return this.#entries.values.values();
  }

  entries(): IterableIterator<[string, Value]> {
    return this.#entries.values.entries();
  }

  [Symbol.iterator](): IterableIterator<[string, Value]> {
    return this.#entries.values.entries();
  }

  forEach(callback: (value: Value, key: string, cache: ReadonlyMap<string, Value>) => void): void {
    for (const [key, value] of this.#entries.values) callback(value, key, this);
  }

  /**
   * Sets a value. It takes effect here at once; resolves when the change is published. If publishing fails, the key is
   * forgotten here, and other processes may not have heard of the change.
   *
   * @throws POSTBUS_CACHE_CLOSED after close(); POSTBUS_BAD_OPTION if `key` is no string; POSTBUS_BAD_DATA if a cache
   * cannot hold the value; the errors of bus.publish()
   */
  async set(key: string, value: Value): Promise<void> {
    await this.#change({ op: 'set', key: checkKey(key), value: encode(value) });
  }

  /** Deletes a key. Takes effect, and fails, like set(). */
  async delete(key: string): Promise<void> {
    await this.#change({ op: 'delete', key: checkKey(key) });
  }

  /** Deletes all keys. Takes effect, and fails, like set(). */
  async clear(): Promise<void> {
    await this.#change({ op: 'clear' });
  }

  /**
   * Resolves to the value; if there is none, to what `compute` returns, which is then published to all processes. Calls
   * that come meanwhile for the same key wait for the same result. The computed value is not kept if any process has
   * changed the key meanwhile.
   *
   * @throws POSTBUS_BAD_OPTION if `key` is no string; POSTBUS_BAD_DATA if a cache cannot hold what `compute` returns;
   * whatever `compute` throws
   */
  async getOrSet(key: string, compute: (key: string) => Value | Promise<Value>): Promise<Value> {
    const value = this.#entries.values.get(checkKey(key));
    if (value !== undefined) return value;
    return this.#entries.computing.get(key) ?? this.#compute(key, compute);
  }

  /** Empties the cache here, and stops listening. Other processes do not notice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#bus.events.off('connected', this.#onConnected);
    this.#bus.events.off('disconnected', this.#onDisconnected);
    const subscription = this.#subscription;
    this.#subscription = undefined;
    this.#entries.forget();
    await subscription?.unsubscribe();
  }

  /** True if this cache hears of every change. */
  get #isInStep(): boolean {
    return this.#subscription !== undefined && this.#bus.isConnected;
  }

  #begin(): Promise<void> {
    this.#beginning ??= this.#subscribe().catch((error: unknown) => {
      this.#beginning = undefined;
      throw error;
    });
    return this.#beginning;
  }

  async #untilTold(): Promise<void> {
    const timer = setTimeout(this.#tell, patienceMs);
    await this.#told;
    clearTimeout(timer);
  }

  async #subscribe(): Promise<void> {
    const { siteId } = this.#options;
    const lastId = await this.#bus.lastId(this.#channel, { siteId });
    this.#restart(lastId);
    const subscription = await this.#bus.subscribe(this.#channel, (message) => this.#receive(message), {
      siteId,
      lastId,
      onGap: ({ firstId }) => this.#restart(firstId - 1),
    });
    if (this.#isClosed) await subscription.unsubscribe();
    else this.#subscription = subscription;
  }

  /** Forgets all entries, because the changes up to this id are not known. */
  #restart(id: number): void {
    this.#knownId = id;
    this.#history.restart(id);
    this.#entries.forget();
  }

  #compute(key: string, compute: (key: string) => Value | Promise<Value>): Promise<Value> {
    const since = this.#knownId;
    const isCurrent = () => this.#entries.computing.get(key) === computing;
    const computing: Promise<Value> = Promise.resolve(key)
      .then(compute)
      .then((computed) => {
        const value = encode(computed);
        if (isCurrent() && this.#isInStep) {
          this.#change({ op: 'set', key, value, since }).catch((err: unknown) => this.#report(err));
        }
        return this.#entries.values.get(key) ?? decode<Value>(value);
      })
      .finally(() => {
        if (isCurrent()) this.#entries.computing.delete(key);
      });
    this.#entries.computing.set(key, computing);
    return computing;
  }

  #report(err: unknown): void {
    if (this.#options.onError) this.#options.onError(err);
    else consoleLogger.error({ err, channel: this.#channel }, 'a cache could not publish what it computed');
  }

  async #change(change: Change): Promise<void> {
    if (this.#isClosed) throw new errors.CACHE_CLOSED();
    const { siteId, appVersion } = this.#options;
    const own: Publication = { ...change, origin: this.#origin, number: ++this.#lastNumber, version: appVersion };
    this.#entries.begin(change, this.#lastNumber);
    try {
      const id = await this.#bus.publish(this.#channel, own, { siteId, clientIds: [this.#origin] });
      this.#knownId = Math.max(this.#knownId, id);
    } catch (error) {
      this.#entries.drop(own);
      throw error;
    }
    // From here on, other processes may change the key without this one hearing of it.
    if (!this.#isInStep) this.#entries.drop(own);
  }

  #receive({ messageId, data }: Message): void {
    this.#knownId = Math.max(this.#knownId, messageId);
    const published = readChange(data);
    const change = this.#asOfThisVersion(published);
    const holds = change !== undefined && this.#history.admits(change);
    if (holds) this.#history.note(change, messageId);
    const isOwn = published.origin === this.#origin;
    if (!holds || !this.#isInStep) {
      if (isOwn) this.#entries.drop(published);
    } else if (!isOwn || !this.#entries.settle(published)) {
      this.#entries.apply(change);
    }
  }

  /**
   * A set by another version counts as a delete: its value is not for this version, but the old one is out of date. A
   * value that another version has computed counts for nothing.
   */
  #asOfThisVersion(published: Publication): Change | undefined {
    if (published.op !== 'set' || published.version === this.#options.appVersion) return published;
    return published.since === undefined ? undo(published) : undefined;
  }
}

function checkKey(key: unknown): string {
  if (typeof key !== 'string') throw new errors.BAD_OPTION('key', 'must be a string');
  return key;
}
