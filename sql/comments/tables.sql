-- The comments that psql shows of each table (\d+). Every migrate that finds the schema out of date applies them, see
-- comments.ts. docs/tables.md has the same words.

comment on table settings is 'The bus-wide settings and secrets. One row; see configure().';
comment on column settings.singleton is 'True. The key, so that there is no second row.';
comment on column settings.clear_every is 'Publications between two clean-ups, of a channel and of the bus.';
comment on column settings.max_backlog_size is 'Messages that a channel keeps, unless its last publish named another number.';
comment on column settings.max_global_backlog_size is 'Newest messages of the whole bus that the global backlog goes through.';
comment on column settings.max_backlog_age is 'Seconds for which a message can be read, unless its publish named others.';
comment on column settings.relay is 'True if nodes publish what publish_later() queues; false if each commit does.';
comment on column settings.relayed is 'True if relay was ever on. As long as it was not, nodes have no reason to look at relay_outbox.';
comment on column settings.version is 'Raised by each change of what can be read other than a publish or the passing of time. Nodes drop what they remember then.';
comment on column settings.expired_global_id is 'Messages with this global id and lower ones were dropped by expire_all_backlogs().';
comment on column settings.notify_channel is 'The NOTIFY channel of the bus. A secret: whoever knows it can read along.';
comment on column settings.notify_key is 'The key that signs notifications. A secret: nodes believe whoever knows it.';
comment on column settings.max_data_size is 'Bytes of JSON text that the data of a message may have.';
comment on column settings.backlog_size_cap is 'The largest max_backlog_size that a publish may name.';
comment on column settings.backlog_age_cap is 'The largest max_backlog_age, in seconds, that a publish may name.';

comment on table bus is 'The size of the window over all channels. One row. It was a counter once; the last global id is that of the newest row in global_ring.';
comment on column bus.singleton is 'True. The key, so that there is no second row.';
comment on column bus.ring_size is 'Slots of global_ring: as many blocks of 16 global ids as max_global_backlog_size may touch.';
comment on column bus.passed_global_id is 'Messages with this global id and lower ones are not in the global backlog: they had left it when its size was changed, or everything expired.';

comment on table turn is 'Has no rows. Whoever gives out global ids holds its lock until the end of the transaction, so they become visible in their order.';

comment on table channels is 'A row for each site and channel that was ever published to, until forget_channels() deletes it.';
comment on column channels.id is 'What messages and global_ring call the channel by.';
comment on column channels.site_id is 'The site (tenant); empty for none, and for channels under /global/.';
comment on column channels.channel is 'The name of the channel.';
comment on column channels.last_id is 'The last message id that was given out.';
comment on column channels.first_id is 'The oldest message that the sizes named so far let be read. May be below 1.';
comment on column channels.deleted_id is 'Rows of messages up to this message id have been deleted.';
comment on column channels.max_backlog_size is 'The size that the last publish named; null if it named none, and the bus-wide one counts.';
comment on column channels.ring_size is 'Slots of this channel in messages.';
comment on column channels.last_published_at is 'When it was last published to. See forget_channels().';

comment on table messages is 'The messages. Each channel has a ring of slots, and a message overwrites the one that has left the backlog, so the table keeps its size.';
comment on column messages.channel_id is 'The channel: channels.id.';
comment on column messages.slot is 'message_id modulo ring_size of the channel.';
comment on column messages.message_id is 'The id in the channel: 1, 2, 3 and so on, without a gap.';
comment on column messages.global_id is 'The position among all messages of the bus, given at commit; null until then.';
comment on column messages.published_at is 'When it was published, by the clock of the database.';
comment on column messages.expires_at is 'When it expires, if its publish named an age; null if the bus-wide age counts.';
comment on column messages.user_ids is 'The users that may see it; null for no such limit.';
comment on column messages.group_ids is 'The groups that may see it; null for no such limit.';
comment on column messages.client_ids is 'The clients that may see it; null for no such limit.';
comment on column messages.data is 'What was published.';

comment on table global_ring is 'The window over all channels. A row for each block of 16 global ids, in a ring of slots as in messages.';
comment on column global_ring.slot is 'The block (global_id / 16) modulo ring_size of bus.';
comment on column global_ring.global_id is 'The last global id of the block that was given out.';
comment on column global_ring.channel_ids is 'The channel (channels.id) of each global id of the block.';
comment on column global_ring.message_ids is 'The message id in that channel, of each global id of the block.';

comment on table sweep is 'How far the clean-up of idle channels has come in its round. One row.';
comment on column sweep.singleton is 'True. The key, so that there is no second row.';
comment on column sweep.channel_id is 'The channel that was cleaned up last; 0 before a round.';

comment on table outbox is 'What publish_later() has queued in transactions that are open. The commit publishes and deletes it, so nobody else sees a row.';
comment on column outbox.xid is 'The transaction.';
comment on column outbox.id is 'Rises with each row: the order of a transaction.';
comment on column outbox.site is 'The site; empty for none.';
comment on column outbox.channel is 'The channel.';
comment on column outbox.data is 'The data of the message.';
comment on column outbox.user_ids is 'As in messages.';
comment on column outbox.group_ids is 'As in messages.';
comment on column outbox.client_ids is 'As in messages.';
comment on column outbox.max_backlog_size is 'As given to publish_later(); null if it was not.';
comment on column outbox.max_backlog_age is 'As given to publish_later(), in seconds; null if it was not.';
comment on column outbox.put_down_at is 'When it was queued.';
comment on column outbox.items is 'A list that had to be postponed, in one row; all else of the row says nothing then.';

comment on table relay_outbox is 'What publish_later() has queued for the nodes, if settings.relay is on. A node publishes it after the commit and deletes it.';
comment on column relay_outbox.xid is 'The transaction. 0 if the message cannot be published: refusals tells why.';
comment on column relay_outbox.id is 'Rises with each row: the order of a transaction.';
comment on column relay_outbox.channel is 'The channel.';
comment on column relay_outbox.data is 'The data of the message; null counts as the JSON null.';
comment on column relay_outbox.options is 'All else of the message; null if no more than a channel and data was given.';
comment on column relay_outbox.put_down_at is 'When it was queued.';

comment on table refusals is 'Why rows of relay_outbox could not be published. See relay_refused(), relay_retry() and relay_discard().';
comment on column refusals.id is 'The row: relay_outbox.id.';
comment on column refusals.refused_at is 'When a node tried.';
comment on column refusals.sqlstate is 'The SQLSTATE of the error.';
comment on column refusals.error is 'The message of the error.';

comment on table relaying is 'The lease of the node that relays. One row; see relay_state().';
comment on column relaying.singleton is 'True. The key, so that there is no second row.';
comment on column relaying.node is 'The name of the node; empty if there was none yet.';
comment on column relaying.seen_at is 'When the node renewed its lease. After a second without, any other node takes it.';
comment on column relaying.from_xid is 'Nothing waits in relay_outbox that a transaction before this one has queued.';

comment on table forgotten is 'The highest message ids of channels that were forgotten, so that no id is given out again. 1,024 rows, always there.';
comment on column forgotten.bucket is 'The group of names, by a hash of site and channel.';
comment on column forgotten.last_id is 'The highest message id of all forgotten channels of the group.';

comment on table incarnation is 'Which past the ids belong to. One row; see incarnation().';
comment on column incarnation.singleton is 'True. The key, so that there is no second row.';
comment on column incarnation.id is 'Another one after whatever breaks the past of the bus: a schema made anew, a table emptied, channels deleted.';

comment on table schema_migration is 'The migrations that were run.';
comment on column schema_migration.name is 'The name of its file.';
comment on column schema_migration.timestamp is 'When it was run.';

comment on table schema_migration_lock is 'Locked, as a table, by whoever migrates.';
comment on column schema_migration_lock.id is 'Of Kysely.';
comment on column schema_migration_lock.is_locked is 'Of Kysely. Not used.';
