-- The largest data that may be published, in bytes of its text: see text_within(). And the most that one publish may name for its
-- channel and message: see check_reach().
alter table settings
  add max_data_size int not null default 1048576,
  add backlog_size_cap int not null default 100000,
  add backlog_age_cap int not null default 31536000;

-- When the channel was last published to: see forget_channels(). Of those that are there already, this is not known.
alter table channels add last_published_at timestamptz not null default now();
alter table channels alter last_published_at set default clock_timestamp();

-- The highest id of all channels forgotten, by a hash of their names: see forget_channels(). All rows are there from the start, so
-- that a transaction with an old snapshot cannot miss one.
create table forgotten (
  bucket int primary key,
  last_id bigint not null default 0
) with (fillfactor = 50);
insert into forgotten select generate_series(0, 1023);

-- Made anew with more parameters or results.
drop function if exists configure(int, int, int, int, boolean), configuration(), check_limit(int, text);
