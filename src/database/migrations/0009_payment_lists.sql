-- What the list of payments is asked for again and again: the rare outcomes, and what came within a day.
create index payments_outcome_idx on payments (outcome, id desc);
create index payments_received_idx on payments (received_at);
-- The unique one has no receipts of disputed payments and of reversals.
create index payments_receipt_idx on payments (upper(receipt));
