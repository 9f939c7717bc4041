import type { Target } from '../bench.js';
import { backlogReads } from './backlog-reads.js';
import { busPublish } from './bus-publish.js';
import { busPublishCrowded } from './bus-publish-crowded.js';
import { emptyPolls } from './empty-polls.js';
import { fourServers } from './four-servers.js';
import { idleLatency } from './idle-latency.js';
import { longPollSaturation } from './long-poll-saturation.js';
import { parkedPolls } from './parked-polls.js';
import { publishBySql } from './publish-by-sql.js';
import { publishLater } from './publish-later.js';
import { publishManyBySql } from './publish-many-by-sql.js';
import { queriesPerSubscriber } from './queries-per-subscriber.js';
import { relay } from './relay.js';
import { streamingSaturation } from './streaming-saturation.js';
import { tableSize } from './table-size.js';
import { thousandChannels } from './thousand-channels.js';

export const targets: readonly Target[] = [
  streamingSaturation,
  longPollSaturation,
  idleLatency,
  busPublish,
  busPublishCrowded,
  publishManyBySql,
  publishBySql,
  emptyPolls,
  backlogReads,
  parkedPolls,
  thousandChannels,
  tableSize,
  fourServers,
  queriesPerSubscriber,
  publishLater,
  relay,
];
