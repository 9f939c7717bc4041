import type { Random } from '../random.js';
import type { Call } from './publisher.js';
import { SqlWay } from './sql-way.js';
import { bulkPlace } from './world.js';

/** Messages of 200 kB to a channel of their own: what slow readers are behind with soon. */
export class BulkWay extends SqlWay {
  readonly name = 'bulk';

  compose(_random: Random, tag: () => string): Call {
    const name = tag();
    const everyone = { userIds: null, groupIds: null, clientIds: null };
    const send = () =>
      this.withClient(async (client) => {
        const text = `select message_bus.publish($1, jsonb_build_object('tag', $2::text, 'pad', repeat('x', 200000))) as id`;
        const { rows } = await client.query(text, [bulkPlace.channel, name]);
        return [Number(rows[0]?.id)];
      });
    return { publications: [{ ...bulkPlace, ...everyone, tag: name }], send };
  }
}
