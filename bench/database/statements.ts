/** What a plain application would write without the bus. */
export const plainTable = `create table plain (
  id bigint generated always as identity primary key,
  channel text not null,
  data jsonb not null,
  created_at timestamptz not null default now()
)`;

export const plainChannel = 'plain';

/** Each with a channel and JSON as its parameters; prepared once a connection. */
export const statements = {
  insert: 'insert into plain (channel, data) values ($1, $2)',
  'insert + notify': `with message as (insert into plain (channel, data) values ($1, $2) returning *)
    select pg_notify('${plainChannel}', id || ' ' || channel || ' ' || data::text) from message`,
  publish_later: 'select message_bus.publish_later($1, $2)',
  publish: 'select message_bus.publish($1, $2) as id',
};

export type StatementName = keyof typeof statements;
