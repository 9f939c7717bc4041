const everyMs = 250;

/**
 * Calls `act` once if npm or npx started this process and the shell between them has ended. npm forwards a signal to
 * that shell alone; the shell dies of it and leaves this process running. On Windows there is nothing to watch: a
 * Ctrl-C reaches every process of the console, and a process keeps the number of its parent.
 */
export function onParentGone(act: () => void): void {
  if (process.env.npm_command === undefined || process.platform === 'win32') return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    act();
  }, everyMs).unref();
}
