import { channelKey } from '../foundation/checks.js';

/** A message to publish, whose fields have been checked. */
export interface Publication {
  channel: string;
  /** The data as JSON text. */
  json: string;
  userIds: string[] | undefined;
  groupIds: string[] | undefined;
  clientIds: string[] | undefined;
  /** The site; '' for none. */
  site: string;
  maxBacklogSize: number | undefined;
  maxBacklogAge: number | undefined;
}

/** A publication on its way to the database, and the caller who waits for its id. */
export class Entry {
  readonly site: string;
  readonly channel: string;
  /** The message as publish_batch() takes it. */
  readonly json: string;
  /** Time of the call, in ms of performance.now(), because the system clock may be set meanwhile. */
  readonly since = performance.now();

  constructor(
    publication: Publication,
    readonly resolve: (messageId: number) => void,
    readonly reject: (error: unknown) => void,
  ) {
    this.site = publication.site;
    this.channel = publication.channel;
    this.json = toJson(publication);
  }

  get channelKey(): string {
    return channelKey(this.site, this.channel);
  }
}

function toJson(p: Publication): string {
  let json = `{"channel":${JSON.stringify(p.channel)},"data":${p.json}`;
  if (p.userIds) json += `,"user_ids":${JSON.stringify(p.userIds)}`;
  if (p.groupIds) json += `,"group_ids":${JSON.stringify(p.groupIds)}`;
  if (p.clientIds) json += `,"client_ids":${JSON.stringify(p.clientIds)}`;
  if (p.site !== '') json += `,"site_id":${JSON.stringify(p.site)}`;
  if (p.maxBacklogSize !== undefined) json += `,"max_backlog_size":${p.maxBacklogSize}`;
  if (p.maxBacklogAge !== undefined) json += `,"max_backlog_age":${p.maxBacklogAge}`;
  return `${json}}`;
}

const maxBatch = 1000;
const maxBatchLength = 4_000_000; // characters of JSON

/** Removes and returns the first entries of a queue that fit into one transaction: at least one, if there is one. */
export function takeBatch(queue: Entry[]): Entry[] {
  let length = 0;
  let count = 0;
  for (const entry of queue) {
    length += entry.json.length;
    if (count > 0 && (count === maxBatch || length > maxBatchLength)) break;
    count++;
  }
  return queue.splice(0, count);
}
