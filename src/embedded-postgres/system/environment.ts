/** For the programs that are started: one language and time zone, and no PGDATA, PGPORT or the like of the user. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}
