-- The largest data that may be published, in bytes of its text: see text_within(). And the most that one publish may name for its
-- channel and message: see check_reach().
-- Columns come without a default at first: newer minor versions of Postgres refuse one in a table whose row type functions use.
alter table settings add max_data_size int, add backlog_size_cap int, add backlog_age_cap int;
update settings set max_data_size = 1048576, backlog_size_cap = 100000, backlog_age_cap = 31536000;
alter table settings
  alter max_data_size set default 1048576, alter max_data_size set not null,
  alter backlog_size_cap set default 100000, alter backlog_size_cap set not null,
  alter backlog_age_cap set default 31536000, alter backlog_age_cap set not null;

-- When the channel was last published to: see forget_channels(). Of those that are there already, this is not known.
alter table channels add last_published_at timestamptz;
update channels set last_published_at = now();
alter table channels alter last_published_at set default clock_timestamp(), alter last_published_at set not null;

-- The highest id of all channels forgotten, by a hash of their names: see forget_channels(). All rows are there from the start, so
-- that a transaction with an old snapshot cannot miss one.
create table forgotten (
  bucket int primary key,
  last_id bigint not null default 0
) with (fillfactor = 50);
insert into forgotten select generate_series(0, 1023);

-- Made anew with more parameters or results.
drop function if exists configure(int, int, int, int, boolean), configuration(), check_limit(int, text);
