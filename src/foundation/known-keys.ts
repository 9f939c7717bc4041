import { errors } from './errors.js';

/**
 * The keys that an options object may have. An unknown key is an error, because ignoring it can leak: with `userId` for
 * `userIds`, a private message would go to everyone.
 *
 * check() costs one look-up for each key given: about 0.2 µs for the options of a publish.
 */
export class KnownKeys<Options extends object> {
  readonly #keys: ReadonlySet<string>;

  /**
   * `owner` is the function that takes the options, as error messages call it: `publish()`. The type of `keys` makes
   * the compiler require every key of Options.
   */
  constructor(
    private readonly owner: string,
    keys: Record<keyof Options, true>,
  ) {
    this.#keys = new Set(Object.keys(keys));
  }

  /**
   * @throws POSTBUS_BAD_OPTION for an unknown key, or POSTBUS_BAD_TARGETS if the key seems to name users, groups or
   * clients
   */
  check(options: unknown): void {
    // A Map, a list or a promise has none of the keys, so it would count as empty options.
    if (Object.prototype.toString.call(options) !== '[object Object]') {
      throw new errors.BAD_OPTION('options', `${this.owner} takes an object with the keys ${this.#names()}`);
    }
    // The loop includes inherited keys, because the code that reads the options reads those, too.
    for (const key in Object(options)) if (!this.#keys.has(key)) this.#refuse(key, Object(options));
    this.#checkClass(Object(options));
  }

  /**
   * Checks the getters of a class: they are read like other options, but a loop over the keys does not show them.
   * Methods are no options.
   */
  #checkClass(options: object): void {
    let prototype = Object.getPrototypeOf(options);
    while (prototype !== null && prototype !== Object.prototype) {
      const above = Object.getPrototypeOf(prototype);
      // This is the Object.prototype of another realm.
      if (above === null) return;
      for (const [key, { get }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
        if (get && !this.#keys.has(key)) this.#refuse(key, options);
      }
      prototype = above;
    }
  }

  #refuse(key: string, options: object): void {
    // The application has extended Object.prototype, so every object has this key.
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
