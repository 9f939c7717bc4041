-- Made anew with another result: relay.
drop function if exists configuration();
