import { setTimeout as delay } from 'node:timers/promises';
import type { Publication } from '../accounting/publication.js';
import type { Random } from '../random.js';
import type { Call } from './publisher.js';
import { RolledBack, SqlWay } from './sql-way.js';
import { changesPlace, compose } from './world.js';

const parameters = '$1, $2, user_ids => $3, group_ids => $4, client_ids => $5, site_id => $6';

function valuesOf({ channel, siteId, userIds, groupIds, clientIds }: Publication, data: unknown): unknown[] {
  return [channel, JSON.stringify(data), userIds, groupIds, clientIds, siteId];
}

/** `select publish(…)`, in a statement of its own. */
export class PublishWay extends SqlWay {
  readonly name = 'publish';

  compose(random: Random, tag: () => string): Call {
    const { publication, data } = compose(random, tag());
    const send = () =>
      this.withClient(async (client) => {
        const text = `select message_bus.publish(${parameters}) as id`;
        const { rows } = await client.query(text, valuesOf(publication, data));
        return [Number(rows[0]?.id)];
      });
    return { publications: [publication], send };
  }
}

/** Several publish() of one channel in a transaction that stays open for a while; one of four is rolled back. */
export class TransactionWay extends SqlWay {
  readonly name = 'transaction';

  compose(random: Random, tag: () => string): Call {
    const first = compose(random, tag());
    const second = { ...first.publication, tag: tag() };
    const isRolledBack = random.isBelow(0.25);
    const pauseMs = random.between(0, 15);
    const send = () =>
      this.withClient(async (client) => {
        const text = `select message_bus.publish(${parameters}) as id`;
        await client.query('begin');
        const ids: number[] = [];
        for (const publication of [first.publication, second]) {
          const data = { ...first.data, tag: publication.tag };
          const { rows } = await client.query(text, valuesOf(publication, data));
          ids.push(Number(rows[0]?.id));
          // Not pg_sleep(): Postgres counts it on the clock, and when that is set back it sleeps, and holds its channels, for hours.
          await delay(pauseMs);
        }
        await client.query(isRolledBack ? 'rollback' : 'commit');
        if (isRolledBack) throw new RolledBack('rolled back');
        return ids;
      });
    return { publications: [first.publication, second], send };
  }
}

export class PublishManyWay extends SqlWay {
  readonly name = 'many';

  compose(random: Random, tag: () => string): Call {
    const composed = Array.from({ length: 1 + random.below(6) }, () => compose(random, tag()));
    const messages = composed.map(({ publication: { channel, siteId, userIds, groupIds, clientIds }, data }) => ({
      channel,
      data,
      site_id: siteId ?? undefined,
      user_ids: userIds ?? undefined,
      group_ids: groupIds ?? undefined,
      client_ids: clientIds ?? undefined,
    }));
    const send = () =>
      this.withClient(async (client) => {
        const text = 'select unnest(message_bus.publish_many($1)) as id';
        const { rows } = await client.query(text, [JSON.stringify(messages)]);
        return rows.map(({ id }) => Number(id));
      });
    return { publications: composed.map(({ publication }) => publication), send };
  }
}

/** publish_later() beside a row of the application, in one transaction. */
export class PublishLaterWay extends SqlWay {
  readonly name = 'later';

  compose(random: Random, tag: () => string): Call {
    const { publication, data } = compose(random, tag());
    const send = () =>
      this.withClient(async (client) => {
        await client.query('begin');
        await client.query('insert into rows_of_later values ($1)', [publication.tag]);
        await client.query(`select message_bus.publish_later(${parameters})`, valuesOf(publication, data));
        await client.query('commit');
        return undefined;
      });
    return { publications: [publication], send };
  }
}

/** A row of a table with publish_changes(). */
export class ChangesWay extends SqlWay {
  readonly name = 'changes';

  compose(random: Random, tag: () => string): Call {
    const name = tag();
    const pad = 'x'.repeat(random.isBelow(0.12) ? 9_000 : random.below(120));
    const send = () =>
      this.withClient(async (client) => {
        await client.query('insert into rows_of_changes values ($1, $2)', [name, pad]);
        return undefined;
      });
    const everyone = { userIds: null, groupIds: null, clientIds: null };
    return { publications: [{ ...changesPlace, ...everyone, tag: name }], send };
  }
}
