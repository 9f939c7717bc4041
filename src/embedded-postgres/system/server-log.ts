import { closeSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';

const tailLines = 15;

/** What initdb and Postgres say. Every start begins an empty one, so that it does not grow over the years. */
export interface ServerLog {
  readonly path: string;
  readonly descriptor: number;
  size(): number;
  /** The last lines, or those after a position. */
  tail(position?: number): string;
  close(): void;
}

export function openServerLog(path: string): ServerLog {
  // The present one may belong to another user.
  rmSync(path, { force: true });
  const descriptor = openSync(path, 'ax', 0o600);
  return {
    path,
    descriptor,
    size: () => statSync(path, { throwIfNoEntry: false })?.size ?? 0,
    tail: (position = 0) =>
      readFileSync(path).subarray(position).toString('utf8').trimEnd().split('\n').slice(-tailLines).join('\n'),
    close: () => closeSync(descriptor),
  };
}
