/** A change of a cache. */
export type Change =
  | {
      op: 'set';
      key: string;
      /** As JSON text, see encode() in codec.ts. */
      value: string;
      /** For a computed value: it holds only if the key has not changed after the message with this id. */
      since?: number;
    }
  | { op: 'delete'; key: string }
  | { op: 'clear' };

/** A change as it is published. A publisher in SQL gives only the change. */
export type Publication = Change & {
  /** The random id of the cache that made the change. */
  origin?: string;
  /** The number of the change among those of that cache. */
  number?: number;
  version?: string | undefined;
};

/** Reads the data of a message. Data that is not understood may have changed anything, so it clears the cache. */
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

/**
 * What is left of a change that does not hold: a set key is deleted, because neither its new value nor the one before
 * is valid.
 */
export function undo(change: Change): Change {
  return change.op === 'set' ? { op: 'delete', key: change.key } : change;
}
