-- A disputed payment stays as it came; the operator who finds that it was good money credits it by a payment of its own.
alter table payments
  add column settles_id bigint constraint payments_settles_id_key unique
    constraint payments_settles_id_fkey references payments (id);
