/** Formats a trace as one line for NODE_DEBUG: the diagnostics channel, the event, and the rest as `key=JSON`. */
export function debugLine(name: string, { event, ...rest }: Record<string, unknown>): string {
  const parts = Object.entries(rest).map(([key, value]) => `${key}=${textOf(value)}`);
  return [`${name} ${event}`, ...parts].join(' ');
}

function textOf(value: unknown): string {
  if (!(value instanceof Error)) return JSON.stringify(value) ?? String(value);
  return JSON.stringify('code' in value ? `${value.code}: ${value.message}` : value.message);
}
