-- What a balance command was sent for: a later wish leaves the row open when the meter confirms an earlier one.
alter table outbox add sent_revision integer;

alter table balance_commands
  -- The meter's name in its own topics, when that is not its meter_id: its drn ([M-12]).
  add topic_name text,
  -- Consumed before the last command was made, reported after it: a meter that simply took over the command's balance
  -- has so much more than the ledger.
  add late_units numeric(14, 4) not null default 0;
