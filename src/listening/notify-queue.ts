import type { Database } from '../database/database.js';
import { errors } from '../foundation/errors.js';
import type { Logger } from '../foundation/logger.js';
import { ThrottledLog } from '../foundation/throttled-log.js';

/** A session that may keep the NOTIFY queue from being emptied. */
interface Suspect {
  pid: number;
  user: string;
  application: string;
  /** As pg_stat_activity has it, for example `idle in transaction`. */
  state: string;
  /** The wait event of the session: `ClientWrite` if its client takes nothing. */
  waitsFor: string | null;
  /** When the session's transaction began, ISO 8601; null if it is in none. */
  since: string | null;
}

const maxUsage = 0.1;
const checkAgainMs = 5_000;

// Postgres does not tell which sessions LISTEN. Two kinds of sessions cannot take notifications at the moment: those
// whose client reads nothing, and those in a transaction.
const lookForSuspects = `
  select coalesce(json_agg(s.suspect order by s.reads, s.since) filter (where s.n <= 3), '[]') as suspects,
    (select count(*)::int from pg_stat_activity h where h.usename is not null and h.backend_type is null) as hidden
  from (
    select a.xact_start as since, a.wait_event is distinct from 'ClientWrite' as reads,
      row_number() over (order by a.wait_event is distinct from 'ClientWrite', a.xact_start) as n,
      json_build_object('pid', a.pid, 'user', a.usename, 'application', a.application_name, 'state', a.state,
        'waitsFor', a.wait_event, 'since', a.xact_start) as suspect
    from pg_stat_activity a
    where a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
      and (a.wait_event = 'ClientWrite' or a.xact_start is not null)
  ) s`;

/**
 * Warns when a tenth of Postgres' NOTIFY queue is filled, long before commits fail, and names up to three suspects, the
 * likeliest first. A role sees the sessions of the roles that it is a member of; with pg_read_all_stats it sees all
 * sessions. `hidden` is the number of sessions that it could not look at.
 */
export class NotifyQueue {
  #timer: NodeJS.Timeout | undefined;
  readonly #warnings: ThrottledLog<number>;

  constructor(
    private readonly database: Database,
    private readonly logger: Logger,
  ) {
    this.#warnings = new ThrottledLog((_count, usage) => void this.#warn(usage));
  }

  /**
   * `usage`: the filled share of the queue, from 0 to 1. From a tenth on, the queue is asked again every five seconds.
   */
  observe(usage: number): void {
    this.stop();
    if (usage < maxUsage) return;
    this.#warnings.report(usage);
    this.#timer = setTimeout(() => this.#ask(), checkAgainMs).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Asking also removes from the queue what all sessions have taken; nothing else does so once the queue is full. */
  async #ask(): Promise<void> {
    try {
      this.observe(await this.database.notifyQueueUsage());
    } catch {
      // The next beat asks again.
    }
  }

  async #warn(usage: number): Promise<void> {
    const details = { usage: Math.round(usage * 100) / 100 };
    const message = 'the NOTIFY queue of Postgres fills up: a session that LISTENs does not take what was sent';
    try {
      const [found] = await this.database.read<{ suspects: Suspect[]; hidden: number }>(lookForSuspects);
      this.logger.warn({ ...details, ...found }, message);
    } catch (err) {
      if (!(err instanceof errors.CLOSED)) this.logger.warn({ ...details, err }, message);
    }
  }
}
