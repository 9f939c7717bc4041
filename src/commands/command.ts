import { type ParseArgsConfig, parseArgs } from 'node:util';

export interface Option {
  /** Name of the value in the help; undefined if the option has no value. */
  value?: string;
  help: string;
}

export interface Command {
  name: string;
  /** The operands in the help, such as `<channel> <json>`. */
  operands: string;
  /** One line about the command, for the list of commands. */
  summary: string;
  /** More about the command, in lines of at most 100 characters. */
  details: string;
  options: Record<string, Option>;
  /** Runs the command. It imports its modules itself, so that printing the help does not load a server. */
  run(args: Arguments): Promise<void>;
}

/** Thrown if the command line makes no sense. */
export class UsageError extends Error {}

/** Thrown if the command has failed and has already written the reason to stderr, in its own format. */
export class ToldError extends Error {}

export const databaseOptions: Record<string, Option> = {
  'database-url': { value: 'url', help: 'the database; default: DATABASE_URL' },
  schema: { value: 'name', help: 'the schema of the bus; default: message_bus' },
};

export const listenOption: Record<string, Option> = {
  'listen-database-url': {
    value: 'url',
    help: 'where to listen, if the database is behind a pooler; default: LISTEN_DATABASE_URL',
  },
};

const helpOption: Record<string, Option> = { help: { help: 'print this' } };

// Largest value of an int in SQL.
const maxInteger = 2_147_483_647;

/** The options and operands of one call. Each is checked when it is read. */
export class Arguments {
  readonly operands: readonly string[];
  readonly #values: Record<string, unknown>;

  constructor(command: Command, args: string[]) {
    const options: ParseArgsConfig['options'] = {};
    for (const [name, { value }] of Object.entries({ ...command.options, ...helpOption })) {
      options[name] = { type: value === undefined ? 'boolean' : 'string' };
    }
    try {
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
      this.#values = values;
      this.operands = positionals;
    } catch (error) {
      throw new UsageError(error instanceof Error ? error.message : String(error));
    }
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    if (value === '') throw new UsageError(`--${name} is empty`);
    return typeof value === 'string' ? value : undefined;
  }

  boolean(name: string): boolean | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (text !== 'true' && text !== 'false') throw new UsageError(`--${name} must be true or false, not ${text}`);
    return text === 'true';
  }

  integer(name: string, least: number, most = maxInteger): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : toInteger(text, `--${name}`, least, most);
  }

  /**
   * Returns the value of an option, or else of the environment variable with its name: `--max-channels`, MAX_CHANNELS.
   */
  integerOrVariable(name: string, least: number, most = maxInteger): number | undefined {
    const variable = name.toUpperCase().replaceAll('-', '_');
    const value = environment(variable);
    return (
      this.integer(name, least, most) ?? (value === undefined ? undefined : toInteger(value, variable, least, most))
    );
  }

  /**
   * Returns true if a flag is given, or the environment variable with its name is 1 or true: `--no-migrate`,
   * NO_MIGRATE.
   */
  flagOrVariable(name: string): boolean {
    const variable = name.toUpperCase().replaceAll('-', '_');
    const value = environment(variable) ?? 'false';
    if (!['1', 'true', '0', 'false'].includes(value)) {
      throw new UsageError(`${variable} must be 1, true, 0 or false, not ${value}`);
    }
    return this.flag(name) || value === '1' || value === 'true';
  }

  list(name: string): string[] | undefined {
    const items = this.text(name)?.split(',');
    if (items?.includes('')) throw new UsageError(`--${name} has an empty item`);
    return items;
  }

  get schema(): string {
    return this.text('schema') ?? 'message_bus';
  }

  noOperands(): void {
    if (this.operands.length > 0) throw new UsageError(`unexpected argument: ${this.operands[0]}`);
  }
}

export function toInteger(text: string, what: string, least: number, most: number): number {
  const number = Number(text);
  if (!/^-?\d+$/.test(text) || number < least || number > most) {
    throw new UsageError(`${what} must be a whole number from ${least} to ${most}, not ${text}`);
  }
  return number;
}

/** Returns an environment variable; undefined if it is empty. */
export function environment(name: string): string | undefined {
  return process.env[name] || undefined;
}

export function helpFor(command: Command): string {
  const usage = `Usage: postbus ${command.name} [options] ${command.operands}`.trimEnd();
  const rows = Object.entries({ ...command.options, ...helpOption }).map(
    ([name, { value, help }]): [string, string] => [value === undefined ? `--${name}` : `--${name} <${value}>`, help],
  );
  return [usage, '', `${command.summary}.`, command.details, 'Options:', ...columns(rows)].join('\n');
}

/** Returns lines of two columns, the second one aligned. */
export function columns(rows: [string, string][]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
