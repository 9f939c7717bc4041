-- The largest data that may be published, in bytes of its text: see text_within().
alter table settings add max_data_size int not null default 1048576;

-- Made anew with more parameters or results.
drop function if exists configure(int, int, int, int, boolean), configuration(), check_limit(int, text);
