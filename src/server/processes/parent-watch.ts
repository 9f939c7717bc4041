const everyMs = 250;

/**
 * Calls back once if npm or npx started this process and the shell between them has ended. npm hands a signal on to that shell
 * alone, which dies of it and leaves its child running. On Windows a Ctrl-C reaches every process of the console, and a process
 * keeps the number of its parent, so there is nothing to watch.
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
