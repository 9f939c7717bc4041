import type { Place, Publication, Targets } from '../accounting/publication.js';
import type { Random } from '../random.js';

/** Channels of no site, of a site, and of all sites. */
export const places: readonly Place[] = [
  { channel: '/a', siteId: null },
  { channel: '/b', siteId: null },
  { channel: '/a', siteId: 'shop' },
  { channel: '/c', siteId: 'shop' },
  { channel: '/global/news', siteId: null },
];
/** Written to by the trigger on a table alone. */
export const changesPlace: Place = { channel: '/changes', siteId: null };
/** Large messages, in the scenarios that have any. */
export const bulkPlace: Place = { channel: '/bulk', siteId: null };
export const allPlaces: readonly Place[] = [...places, changesPlace];

export const userIds = ['1', '2', '3'] as const;
export const groupIds = ['staff', 'guests'] as const;
export const clientIds = Array.from({ length: 8 }, (_, i) => `client-${i}`);

const everyone: Targets = { userIds: null, groupIds: null, clientIds: null };

/** Two of five messages are for somebody, every eighth does not fit into a notification. */
export function compose(random: Random, tag: string): { publication: Publication; data: { tag: string; pad: string } } {
  const place = random.pick(places);
  const pad = 'x'.repeat(random.isBelow(0.12) ? 9_000 : random.below(120));
  return { publication: { ...place, ...composeTargets(random, place), tag }, data: { tag, pad } };
}

function composeTargets(random: Random, { channel }: Place): Targets {
  if (random.isBelow(0.6)) return everyone;
  const isGlobal = channel.startsWith('/global/');
  const some = <T>(list: readonly T[], probability: number) =>
    random.isBelow(probability) ? [random.pick(list)] : null;
  return {
    userIds: isGlobal ? null : some(userIds, 0.5),
    groupIds: isGlobal ? null : some(groupIds, 0.4),
    clientIds: some(clientIds, 0.3),
  };
}

export const schema = `
  select message_bus.configure(max_backlog_size => 1000000, max_global_backlog_size => 1000000);
  create table rows_of_later (tag text primary key);
  create table rows_of_changes (tag text primary key, pad text);
  select message_bus.publish_changes('rows_of_changes', '/changes', operations => '{insert}');
`;
