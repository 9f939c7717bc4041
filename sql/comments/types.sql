-- The same for types, and for the sequence that is not a column's.

comment on type message is 'A message, as the reading functions return it.';
comment on column message.global_id is 'The position among all messages of the bus; null in the transaction that publishes it.';
comment on column message.message_id is 'The id in the channel.';
comment on column message.channel is 'The channel.';
comment on column message.site_id is 'The site; null for none.';
comment on column message.data is 'What was published.';
comment on column message.user_ids is 'The users that may see it; null for no such limit.';
comment on column message.group_ids is 'The groups that may see it; null for no such limit.';
comment on column message.client_ids is 'The clients that may see it; null for no such limit.';
comment on column message.published_at is 'When it was published, by the clock of the database.';

comment on type publication is 'A message to publish, whose arguments were checked.';
comment on column publication.site is 'The site; empty for none.';
comment on column publication.channel is 'The channel.';
comment on column publication.data is 'The data of the message.';
comment on column publication.user_ids is 'As in messages.';
comment on column publication.group_ids is 'As in messages.';
comment on column publication.client_ids is 'As in messages.';
comment on column publication.max_backlog_size is 'Messages that the channel keeps from then on; null for the bus-wide number.';
comment on column publication.max_backlog_age is 'Seconds for which the message can be read; null for the bus-wide number.';

comment on sequence newest_global_id is 'A hint which row of global_ring is the newest. A sequence has no versions that pile up; but it ignores rollbacks, so it is only a hint.';
