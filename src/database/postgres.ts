import type { QueryResultRow } from 'pg';

export interface Query {
  text: string;
  values: unknown[];
  /** Prepared under this name, where connections last. */
  name?: string;
  /** Ms that Postgres may take to answer. */
  timeout: number;
  /** Whether it may be asked again, so that it can be given up when its connection seems dead. */
  isRepeatable: boolean;
}

/** Runs a statement; without values, it may be several. Resolves to the rows of the last one. */
export type RunStatement = <Row>(text: string, values?: readonly unknown[]) => Promise<Row[]>;

/** A connection that LISTENs, or will. */
export interface ListeningConnection {
  /** Connects; resolves when whatever is sent from then on comes in. */
  listen(channel: string, onPayload: (payload: string) => void): Promise<void>;
  /** Has Postgres answer on this connection: what was sent to it earlier has come in by then, however slow all is. */
  ask(): Promise<unknown>;
  /** Resolves, to the reason, when no more comes in; perhaps never. */
  readonly lost: Promise<unknown>;
  close(): Promise<void>;
}

/** The Postgres that a bus lives in, however it is reached. bigint comes as a number: ids stay below 2^53. */
export interface Postgres {
  query<Row extends QueryResultRow>(query: Query): Promise<Row[]>;
  /** Statements of their own transaction, read committed; undone where `run` rejects. */
  transaction(run: (statement: RunStatement) => Promise<void>): Promise<void>;
  newListeningConnection(): ListeningConnection;
  close(): Promise<void>;
}
