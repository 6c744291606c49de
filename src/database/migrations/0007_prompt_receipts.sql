-- A prompt whose success we had to ask for is credited without a receipt, since the provider's answer has none. When its
-- callback or confirmation comes after all, the receipt is kept here: from then on it names that same payment.
alter table payment_prompts add receipt text;
create unique index payment_prompts_receipt_key on payment_prompts (upper(receipt));
create index payment_prompts_meter_idx on payment_prompts (meter_id, requested_at);
