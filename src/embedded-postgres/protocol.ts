import { type FailureCode, isFailureCode } from './system/errors.js';

/** What the parent asks of the guardian. That the parent goes away, or closes the channel, means: stop. */
export interface Request {
  readonly parent: number;
  readonly folder: string | undefined;
  readonly port: number | undefined;
  readonly settings: Readonly<Record<string, string>>;
}

/** The one thing that the guardian answers. */
export type Report =
  | {
      readonly type: 'ready';
      readonly url: string;
      readonly port: number;
      readonly postmasterPid: number;
      readonly data: string;
      readonly temporary: readonly string[];
    }
  | { readonly type: 'failed'; readonly code: FailureCode; readonly details: readonly string[] };

export function isRequest(message: unknown): message is Request {
  return isRecord(message) && isNumber(message.parent) && isRecord(message.settings);
}

export function isReport(message: unknown): message is Report {
  if (!isRecord(message)) return false;
  if (message.type === 'failed') return isFailureCode(message.code) && isStrings(message.details);
  return (
    message.type === 'ready' &&
    isStrings([message.url, message.data]) &&
    isNumber(message.port) &&
    isNumber(message.postmasterPid) &&
    isStrings(message.temporary)
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
