// What the runner prints: a line for each file, what failed in it, and what was skipped and why. tap's own reporter draws its screen
// anew for each assertion: 14,000 times.

const details = [];

/** Prints how a file went when it has ended; what failed in it is kept for the end. `onCrash`: its process failed, not its tests. */
export function reportFile(file, onCrash) {
  const started = performance.now();
  const told = [];
  let errors = '';
  collect(file.parser, told);
  let exit = 0;
  file.on('process', (child) => {
    child.on('exit', (code, signal) => {
      exit = code ?? signal;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      errors += text;
    });
  });
  file.on('end', () => {
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    const { ok: arePassed = false, count = 0 } = file.results ?? {};
    // Whatever its tests say: a process may end before they do, or after.
    const hasCrashed = arePassed && (exit !== 0 || count === 0);
    const ok = arePassed && !hasCrashed;
    if (hasCrashed) {
      details.push(`failed: ${file.name} > ended with ${exit} after ${count} tests`);
      onCrash();
    }
    console.log(`${ok ? 'PASS' : 'FAIL'}  ${file.name}  ${seconds} s, tests: ${count}`);
    details.push(...told.map(describe));
    if (!ok && errors !== '') details.push(`wrote to stderr: ${file.name}\n${indent(errors)}`);
  });
}

/** Whether a test was not run because its title was not asked for. */
export function isFilteredOut(skip) {
  return typeof skip === 'string' && skip.startsWith('filter: ');
}

/** Where the end of the output shows it. */
export function reportDetails() {
  for (const detail of details) console.log(`\n${detail}`);
}

/** The results to tell of, those of tests within tests too. A test in which one has failed is none of them. */
function collect(parser, told) {
  parser.on('child', (inner) => collect(inner, told));
  parser.on('assert', (result) => {
    const isTold = told.some(({ ok, fullname }) => !ok && fullname.startsWith(`${result.fullname} > `));
    if (isFilteredOut(result.skip)) return;
    if (result.skip || (!result.ok && !result.todo && !isTold)) told.push(result);
  });
}

function describe({ ok, fullname, skip, diag }) {
  if (ok) return `skipped: ${fullname}: ${skip}`;
  const { diff, source, stack, at: _, test: __, compare: ___, ...rest } = diag ?? {};
  const details = Object.keys(rest).length > 0 ? JSON.stringify(rest, null, 2) : undefined;
  const parts = [source, diff, details, stack].filter((part) => part !== undefined);
  return [`failed: ${fullname}`, ...parts.map((part) => indent(part))].join('\n');
}

function indent(text) {
  return text.trimEnd().replace(/^/gm, '  ');
}
