/** What happened to a cache. */
export type Change =
  | {
      op: 'set';
      key: string;
      /** As JSON text (codec.ts). */
      value: string;
      /** Holds only if the key has not changed after the message with this id: the value was computed then. */
      since?: number;
    }
  | { op: 'delete'; key: string }
  | { op: 'clear' };

/** A change as it is published. Who publishes in SQL gives no more than the change. */
export type Publication = Change & {
  /** The cache that made it. */
  origin?: string;
  /** Its number among those of that cache. */
  number?: number;
  version?: string | undefined;
};

/** The data of a message. What is not understood may have changed anything: it clears. */
export function readChange(data: unknown): Publication {
  const { op, key, value, since, origin, number, version } = Object(data);
  const sender = {
    ...(typeof origin === 'string' ? { origin } : {}),
    ...(typeof number === 'number' ? { number } : {}),
    ...(typeof version === 'string' ? { version } : {}),
  };
  if (op === 'set' && typeof key === 'string' && typeof value === 'string') {
    return { op, key, value, ...(typeof since === 'number' ? { since } : {}), ...sender };
  }
  if (op === 'delete' && typeof key === 'string') return { op, key, ...sender };
  return { op: 'clear', ...sender };
}

/** What is left of a change that does not hold: neither what it made nor what was there before. */
export function undo(change: Change): Change {
  return change.op === 'set' ? { op: 'delete', key: change.key } : change;
}
