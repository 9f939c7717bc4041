// The parts of a browser's types that the client needs.
interface Page {
  readonly hidden: boolean;
  addEventListener(type: 'visibilitychange', listener: () => void): void;
  removeEventListener(type: 'visibilitychange', listener: () => void): void;
}
// React Native has `self`, but it emits no events.
interface Network {
  addEventListener?(type: 'online', listener: () => void): void;
  removeEventListener?(type: 'online', listener: () => void): void;
}
declare const document: Page;
declare const self: Network;
declare const localStorage: { getItem(key: string): string | null; setItem(key: string, value: string): void };

/** The page that the client runs in; undefined in Node and in workers. */
export const page: Page | undefined = typeof document === 'undefined' ? undefined : document;

/** Emits an event when the network is back; undefined in Node. */
export const network: Network | undefined = typeof self === 'undefined' ? undefined : self;

// The same key as in the original client, because other tabs may still run that.
const key = '__mbLastAjax';

/** Tells the other tabs that this one polls now. */
export function notePoll(): void {
  try {
    if (page) localStorage.setItem(key, String(Date.now()));
  } catch {
    // Some pages may not use localStorage.
  }
}

/** True if this tab is hidden and some tab has polled in the last `ms`. */
export function shouldLeaveToOthers(ms: number): boolean {
  if (!page?.hidden) return false;
  try {
    const age = Date.now() - Number(localStorage.getItem(key));
    return age >= 0 && age < ms;
  } catch {
    return false;
  }
}
