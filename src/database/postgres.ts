import type { QueryResultRow } from 'pg';

export interface Query {
  text: string;
  values: unknown[];
  /** Name of the prepared statement, if connections last. */
  name?: string;
  /** Ms that Postgres may take to answer. */
  timeout: number;
  /** True if the query may be sent again, so that it can be given up if its connection seems dead. */
  isRepeatable: boolean;
}

/** Runs a statement; without values, `text` may be several statements. Resolves to the rows of the last one. */
export type RunStatement = <Row>(text: string, values?: readonly unknown[]) => Promise<Row[]>;

/** A connection that LISTENs, once listen() is called. */
export interface ListeningConnection {
  /** Connects. Resolves once every notification that is sent from then on arrives. */
  listen(channel: string, onPayload: (payload: string) => void): Promise<void>;
  /**
   * Makes Postgres answer on this connection: notifications that were sent to it earlier have arrived by then, however
   * slow the connection is.
   */
  ask(): Promise<unknown>;
  /** Resolves to the reason when no more notifications arrive; perhaps never. */
  readonly lost: Promise<unknown>;
  close(): Promise<void>;
}

/**
 * The Postgres that a bus lives in, however it is reached. Results have bigint as a number, because ids stay below
 * 2^53.
 */
export interface Postgres {
  query<Row extends QueryResultRow>(query: Query): Promise<Row[]>;
  /** Runs statements in one transaction, at read committed; rolls it back if `run` rejects. */
  transaction(run: (statement: RunStatement) => Promise<void>): Promise<void>;
  newListeningConnection(): ListeningConnection;
  close(): Promise<void>;
}
