/** A channel of a site. */
export interface Place {
  readonly channel: string;
  readonly siteId: string | null;
}

/** Whom a message is for; null: no such limit. */
export interface Targets {
  readonly userIds: readonly string[] | null;
  readonly groupIds: readonly string[] | null;
  readonly clientIds: readonly string[] | null;
}

/** A message as it is handed to the bus. The tag is in its data and occurs once. */
export interface Publication extends Place, Targets {
  readonly tag: string;
}

/** A message as the tables have it, or as somebody has received it. */
export interface Stored extends Place {
  readonly globalId: number;
  readonly messageId: number;
  readonly tag: string;
  /** Characters of its data as JSON: a message that was cut or mixed up has others. */
  readonly size: number;
}

export type Row = Stored & Targets;

export type Received = Stored & { readonly at: number };

export function nameOf({ channel, siteId }: Place): string {
  return siteId === null ? channel : `${siteId}:${channel}`;
}

/** The tag and the size of data: messages of publish_changes() have the row's. */
export function identify(data: unknown): { tag: string; size: number } {
  const content = Object(data);
  return { tag: String(content.tag ?? content.row?.tag), size: JSON.stringify(data ?? null).length };
}
