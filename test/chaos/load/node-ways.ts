import { type Bus, isPostbusError } from '../../../src/index.js';
import type { Random } from '../random.js';
import type { Call, Way } from './publisher.js';
import { compose } from './world.js';

/** docs/operating.md: of what publish() rejects with, this code alone leaves open whether the message is there. */
const inDoubt = 'POSTBUS_CONNECTION_LOST';

/** bus.publish() in this process. */
export class BusWay implements Way {
  readonly name = 'bus';

  constructor(private readonly bus: Bus) {}

  compose(random: Random, tag: () => string): Call {
    const { publication, data } = compose(random, tag());
    const { channel, siteId, userIds, groupIds, clientIds } = publication;
    const options = {
      ...(siteId !== null && { siteId }),
      ...(userIds && { userIds }),
      ...(groupIds && { groupIds }),
      ...(clientIds && { clientIds }),
    };
    return { publications: [publication], send: async () => [await this.bus.publish(channel, data, options)] };
  }

  isRefusal(error: unknown): boolean {
    return isPostbusError(error) && error.code !== inDoubt;
  }

  async close(): Promise<void> {}
}

class Refused extends Error {
  constructor(readonly code: string) {
    super(code);
  }
}

/** bus.publish() in one of the nodes, asked for over HTTP. */
export class HttpWay implements Way {
  readonly name = 'http';

  constructor(private readonly url: () => string) {}

  compose(random: Random, tag: () => string): Call {
    const { publication, data } = compose(random, tag());
    const { channel, siteId, userIds, groupIds, clientIds } = publication;
    const options = { siteId, userIds, groupIds, clientIds };
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null));
    const send = async () => {
      const response = await fetch(`${this.url()}/publish`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ channel, data, options: given }),
        signal: AbortSignal.timeout(12_000),
      });
      const answer = Object(await response.json());
      if (response.status !== 200) throw new Refused(String(answer.code));
      return [Number(answer.id)];
    };
    return { publications: [publication], send };
  }

  isRefusal(error: unknown): boolean {
    return error instanceof Refused && error.code !== inDoubt;
  }

  async close(): Promise<void> {}
}
