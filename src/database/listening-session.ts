import type pg from 'pg';

// tcp_user_timeout: Postgres ends a session whose client takes no bytes for 30 s, such as a stopped process, because it
// would fill the NOTIFY queue; on a Unix socket the setting has no effect. idle_session_timeout: a listening session is
// idle, so the role's limit must not end it.
const settings = '-c tcp_user_timeout=30000 -c idle_session_timeout=0';

/** Returns the config with settings for a session that LISTENs. Settings of the user take precedence. */
export function withListeningSettings(config: pg.ClientConfig): pg.ClientConfig {
  const { connectionString } = config;
  // In pg, a connection string takes precedence over the other options.
  if (connectionString !== undefined && URL.canParse(connectionString)) {
    const url = new URL(connectionString);
    const options = url.searchParams.get('options');
    if (options !== null) {
      url.searchParams.set('options', `${settings} ${options}`);
      return { ...config, connectionString: url.href };
    }
  }
  const options = config.options ?? process.env.PGOPTIONS;
  return { ...config, options: options === undefined ? settings : `${settings} ${options}` };
}

/** True if the server refuses the settings: poolers refuse settings that they do not know. */
export function areSettingsRefused(error: unknown): boolean {
  return error instanceof Error && /startup parameter|command-line options/.test(error.message);
}
