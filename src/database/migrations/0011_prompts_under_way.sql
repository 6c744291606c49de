-- Whether a prompt is on its way to the provider is asked with each group of callbacks, among all that are open.
create index payment_prompts_requested_idx on payment_prompts (requested_at) where state = 'requested';
