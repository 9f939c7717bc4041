import type { Bus } from '../../../src/index.js';
import { identify, nameOf } from '../accounting/publication.js';
import { Reader, type Viewer } from '../accounting/reader.js';
import type { Random } from '../random.js';
import type { Stage } from '../stage.js';
import { OurClient } from './our-client.js';
import { type ClientOptions, RawClient } from './raw-client.js';
import { SqlFollower } from './sql-follower.js';
import { allPlaces, clientIds, groupIds, userIds } from './world.js';

/** Somebody who receives, until stopped. */
export interface Listener {
  readonly reader: Reader;
  stop(): Promise<void>;
}

/** HTTP clients of both kinds and of all sorts of users, of no site and of one; each keeps to one of the addresses. */
export function startClients(urls: readonly string[], random: Random): Listener[] {
  return clientIds.map((clientId, i) => {
    const siteId = i % 2 === 0 ? null : 'shop';
    const viewer: Viewer = {
      clientId,
      userId: [null, ...userIds][(i >> 1) % 4] ?? null,
      groupIds: i % 3 === 0 ? [] : groupIds.slice(0, i % 3),
    };
    const places = allPlaces.filter((place) => place.siteId === siteId || place.channel.startsWith('/global/'));
    const options: ClientOptions = { url: urls[i % urls.length] ?? '', viewer, siteId, places };
    return i < 5 ? new RawClient(options, random.fork()) : new OurClient(options);
  });
}

/** Subscribers in this process: one to each channel, and one to all. */
export async function subscribeEverywhere(bus: Bus): Promise<Listener[]> {
  const subscribe = async (reader: Reader, channel: string | null, siteId: string | null): Promise<Listener> => {
    const subscription = await bus.subscribe(
      channel,
      ({ globalId, messageId, channel, siteId, data }) =>
        reader.receive({ globalId, messageId, channel, siteId, ...identify(data), at: Date.now() }),
      {
        lastId: 0,
        ...(siteId !== null && { siteId }),
        onGap: ({ after, firstId }) => reader.gaps.push(`was told of a gap after ${after} before ${firstId}`),
      },
    );
    return { reader, stop: () => subscription.unsubscribe() };
  };
  return Promise.all([
    subscribe(new Reader({ name: 'subscriber to all' }), null, null),
    ...allPlaces.map((place) =>
      subscribe(new Reader({ name: `subscriber to ${nameOf(place)}`, places: [place] }), place.channel, place.siteId),
    ),
  ]);
}

export function startFollower(stage: Stage, url: () => string): Listener {
  const follower = new SqlFollower(url);
  stage.teardown(() => follower.stop());
  return follower;
}
