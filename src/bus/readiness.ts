import type { Database } from '../database/database.js';
import { loadSchemaSql, type SchemaSql } from '../database/migrate/sql/load.js';
import { errors } from '../foundation/errors.js';

/**
 * The functions of the schema that a node calls. `keepalive` and `diagnostics` are not among them, because a node works
 * without these two.
 */
const nodeFunctions = [
  'node_state',
  'relay',
  'publish_batch',
  'held_channels',
  'read_channels',
  'read_heads',
  'read_global',
  'read_message',
  'find_places',
];

// An orchestrator wants an answer soon, even if the database gives none: check() settles after `answerMs`. An answer
// that comes later, within `askMs`, is for the next check().
const answerMs = 2_000;
const askMs = 8_000;
// Ms for which a good or a bad answer is reused, so that many checks do not mean many queries.
const goodMs = 3_000;
const badMs = 1_000;

interface Outcome {
  error: unknown;
  /** When the outcome expires, in ms of performance.now(). */
  until: number;
}

/**
 * Asks the database whether a node could do its work, by node_ready() of sql/administration/internal/node_ready.sql.
 */
export class Readiness {
  #last: Outcome | undefined;
  #asking: Promise<Outcome> | undefined;
  #sql: Promise<SchemaSql> | undefined;

  constructor(private readonly database: Database) {}

  /** Resolves if a node can do its work. Settles within 2 s. @throws the reason, a coded error */
  async check(): Promise<void> {
    const { error } = await this.#recent();
    if (error !== undefined) throw error;
  }

  async #recent(): Promise<Outcome> {
    if (this.#last && performance.now() < this.#last.until) return this.#last;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Outcome>((resolve) => {
      const error = new errors.NO_SERVER(`no answer within ${answerMs} ms`);
      timer = setTimeout(() => resolve({ error, until: 0 }), answerMs);
    });
    const outcome = await Promise.race([this.#asking, late]);
    clearTimeout(timer);
    return outcome;
  }

  async #ask(): Promise<Outcome> {
    const error = await this.#probe().catch((reason: unknown) => reason);
    this.#last = { error, until: performance.now() + (error === undefined ? goodMs : badMs) };
    return this.#last;
  }

  /**
   * Resolves to true if the schema has all functions that this version and its applications call. It may be of a newer
   * version.
   */
  async isServed(): Promise<boolean> {
    const { publicFunctionNames } = await this.#loadSql();
    return this.#probe([...new Set([...nodeFunctions, ...publicFunctionNames])]).then(
      () => true,
      () => false,
    );
  }

  #loadSql(): Promise<SchemaSql> {
    this.#sql ??= loadSchemaSql();
    return this.#sql;
  }

  /**
   * Resolves if the schema has these functions, and the role may execute those of them that nodes call.
   *
   * @throws POSTBUS_NO_SCHEMA or POSTBUS_NO_PERMISSION
   */
  async #probe(functions = nodeFunctions): Promise<void> {
    const { database } = this;
    const { migrations } = await this.#loadSql();
    const [row] = await database.read<{ missing: string[]; denied: string[] }>(
      `select missing, denied from ${database.name('node_ready')}($1, $2)`,
      [migrations.map(([name]) => name), functions],
      askMs,
    );
    const missing = row?.missing ?? [];
    const denied = row?.denied.filter((name) => nodeFunctions.includes(name)) ?? [];
    if (missing.length > 0) {
      const error = new errors.NO_SCHEMA(database.schema);
      error.cause = new Error(`not there: ${missing.join('; ')}`);
      throw error;
    }
    if (denied.length > 0) throw new errors.NO_PERMISSION(`permission denied for function ${denied.join(', ')}`);
  }
}
