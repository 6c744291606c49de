-- What a balance command was sent for: a later wish leaves the row open when the meter confirms an earlier one.
alter table outbox add sent_revision integer;

-- The meter's name in its own topics, when that is not its meter_id: its drn ([M-12]).
alter table balance_commands add topic_name text;
