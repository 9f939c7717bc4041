import { readFile } from 'node:fs/promises';
import { isPostbusError } from '../foundation/errors.js';
import { Arguments, type Command, columns, helpFor, ToldError, UsageError } from './command.js';
import { configureCommand } from './configure.js';
import { expireCommand } from './expire.js';
import { migrateCommand } from './migrate.js';
import { publishCommand } from './publish.js';
import { rotateKeyCommand } from './rotate-key.js';
import { serveCommand } from './serve.js';
import { subscribeCommand } from './subscribe.js';

const commands: Command[] = [
  serveCommand,
  migrateCommand,
  publishCommand,
  subscribeCommand,
  configureCommand,
  expireCommand,
  rotateKeyCommand,
];

/** Runs a command line. Resolves to its exit code: 0; 1 if the command fails; 2 if the command line makes no sense. */
export async function run([name, ...rest]: string[]): Promise<number> {
  if (name === '--help' || name === 'help') return print(help());
  if (name === '--version') return print(await version());
  const command = commands.find((each) => each.name === name);
  if (!command) {
    return misunderstood(name === undefined ? 'no command given' : `${name} is not a command`, 'postbus --help');
  }
  try {
    const args = new Arguments(command, rest);
    if (args.flag('help')) return print(helpFor(command));
    await command.run(args);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) return misunderstood(error.message, `postbus ${name} --help`);
    if (!(error instanceof ToldError)) process.stderr.write(`${tell(error)}\n`);
    return 1;
  }
}

/** Returns the message of an error; of one without a code, also the stack. */
function tell(error: unknown): string {
  if (isPostbusError(error)) return `postbus: ${error.message} (${error.code})`;
  return `postbus: ${error instanceof Error ? error.stack : error}`;
}

function misunderstood(problem: string, way: string): number {
  process.stderr.write(`postbus: ${problem}. See ${way}\n`);
  return 2;
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

function help(): string {
  const rows = commands.map(({ name, summary }): [string, string] => [name, summary]);
  return [
    'Usage: postbus <command> [options]',
    '',
    'A message bus that lives in Postgres.',
    '',
    'Commands:',
    ...columns([...rows, ['<command> --help', 'What a command does, and its options']]),
    '',
    'Options:',
    ...columns([
      ['--help', 'print this'],
      ['--version', 'print the version'],
    ]),
  ].join('\n');
}

async function version(): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
  return String(version);
}
