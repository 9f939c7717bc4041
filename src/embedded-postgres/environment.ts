/**
 * For initdb and Postgres: nothing that changes their language or time zone, and no PGDATA, PGPORT or the like of the user.
 */
export function plainEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}
