import type pg from 'pg';

// Postgres ends a session whose client takes nothing for 30 s, such as a process that was stopped: it would fill the NOTIFY
// queue. On a Unix socket the setting means nothing. And a session that listens is idle, however short the role's limit is.
const settings = '-c tcp_user_timeout=30000 -c idle_session_timeout=0';

/** The same way to Postgres, for a session that LISTENs. What the user has set goes before. */
export function withListeningSettings(config: pg.ClientConfig): pg.ClientConfig {
  const { connectionString } = config;
  // What a connection string says counts more than the other options.
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

/** Poolers refuse settings that they do not know. */
export function areSettingsRefused(error: unknown): boolean {
  return error instanceof Error && /startup parameter|command-line options/.test(error.message);
}
