// Keeps a program running on the newest files.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { watch as watchFolder } from 'node:fs';

// An editor that saves, or git that changes branches, writes many files in a moment: one restart for all of them.
const quietMs = 100;

/**
 * Prepares and starts a Node program, and again after each change of a file below the folders: the program is sent SIGTERM and has
 * ended before the next one starts. If `prepare` fails, the next change tries again. SIGINT and SIGTERM end the program and the watch.
 */
export async function watch({ folders, prepare, command }) {
  let wake = () => {};
  let isEnding = false;
  let timer;
  const onChange = () => {
    clearTimeout(timer);
    timer = setTimeout(() => wake(), quietMs);
  };
  const watchers = folders.map((folder) => watchFolder(folder, { recursive: true }, onChange));
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      isEnding = true;
      wake();
    });
  }
  while (!isEnding) {
    // From here on: what changes during the build is built again.
    const woken = new Promise((resolve) => {
      wake = resolve;
    });
    const child = await start(prepare, command);
    await woken;
    await stop(child);
    if (!isEnding) console.log('A file has changed: starting again.');
  }
  clearTimeout(timer);
  for (const watcher of watchers) watcher.close();
}

async function start(prepare, command) {
  try {
    await prepare();
  } catch (error) {
    console.error(error.message);
    return undefined;
  }
  return spawn(process.execPath, command, { stdio: 'inherit' });
}

async function stop(child) {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}
