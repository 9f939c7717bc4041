import type { PostbusOptions } from '../fastify/index.js';

type HeadersLookup = NonNullable<PostbusOptions['extraResponseHeadersLookup']>;

/**
 * Returns a lookup of the headers with which browsers let pages of these origins (`*`: of all) poll and read the
 * answers; undefined if there are no origins. Credentials are not allowed, so these polls are anonymous.
 */
export function letInPagesOf(origins: readonly string[] = []): HeadersLookup | undefined {
  if (origins.length === 0) return undefined;
  const isForAll = origins.includes('*');
  return ({ headers: { origin = '' } }) => ({
    ...(isForAll ? {} : { vary: 'Origin' }),
    ...((isForAll || origins.includes(origin)) && {
      'access-control-allow-origin': isForAll ? '*' : origin,
      'access-control-allow-headers': '*',
      'access-control-max-age': '7200',
    }),
  });
}
