import { errors } from './errors.js';

/**
 * The keys that an options object may have. A key that is not known is an error, and not something to pass over: with `userId`
 * for `userIds`, a private message would go to everyone.
 *
 * check() costs one look-up for each key given: about 0.2 µs for the options of a publish.
 */
export class KnownKeys<Options extends object> {
  readonly #keys: ReadonlySet<string>;

  /** `owner` is the function that takes the options, as messages call it: `publish()`. The compiler wants every key named. */
  constructor(
    private readonly owner: string,
    keys: Record<keyof Options, true>,
  ) {
    this.#keys = new Set(Object.keys(keys));
  }

  /** @throws POSTBUS_BAD_OPTION; POSTBUS_BAD_TARGETS for a key that seems to name users, groups or clients */
  check(options: unknown): void {
    // A Map, a list or a promise has none of the keys, so its owner would be taken to have asked for nothing.
    if (Object.prototype.toString.call(options) !== '[object Object]') {
      throw new errors.BAD_OPTION('options', `${this.owner} takes an object with the keys ${this.#names()}`);
    }
    // Inherited keys are read, too, so they are checked.
    for (const key in Object(options)) if (!this.#keys.has(key)) this.#refuse(key, Object(options));
    this.#checkClass(Object(options));
  }

  /** Getters of a class are read, and a loop over the keys does not show them; its methods are no options. */
  #checkClass(options: object): void {
    let prototype = Object.getPrototypeOf(options);
    while (prototype !== null && prototype !== Object.prototype) {
      const above = Object.getPrototypeOf(prototype);
      // The Object.prototype of another realm.
      if (above === null) return;
      for (const [key, { get }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
        if (get && !this.#keys.has(key)) this.#refuse(key, options);
      }
      prototype = above;
    }
  }

  #refuse(key: string, options: object): void {
    // Somebody has extended Object.prototype: these keys belong to every object.
    if (key in Object.prototype && !Object.hasOwn(options, key)) return;
    const shown = key.length > 60 ? `${key.slice(0, 60)}…` : key;
    const reason = `is not known to ${this.owner}. Known are ${this.#names()}`;
    if (this.#keys.has('userIds') && /user|group|client|target|recipient/i.test(key)) {
      throw new errors.BAD_TARGETS(shown, reason);
    }
    throw new errors.BAD_OPTION(shown, reason);
  }

  #names(): string {
    return [...this.#keys].join(', ');
  }
}
