import assert from 'node:assert/strict';
import type { Database, Session, Statement } from '../../src/database/database.js';

/**
 * The functions of TimescaleDB that we call, with the parameters that its reference documents (2.x, the part that every
 * 2.x version has; "any" is anyelement here, which functions in SQL may have). PostgreSQL itself then judges names,
 * types and defaults of each call. https://www.tigerdata.com/docs/reference/timescaledb
 */
const documented = `
  create function create_hypertable(relation regclass, time_column_name name, partitioning_column name default null,
    number_partitions integer default null, associated_schema_name name default null,
    associated_table_prefix name default null, chunk_time_interval anyelement default null::bigint,
    create_default_indexes boolean default true, if_not_exists boolean default false, partitioning_func regproc default null,
    migrate_data boolean default false, chunk_target_size text default null, chunk_sizing_func regproc default null,
    time_partitioning_func regproc default null)
    returns table (hypertable_id int, schema_name name, table_name name, created bool) language plpgsql as $$
  begin
    -- What the reference demands of the table.
    if exists (select from pg_partitioned_table p where p.partrelid = relation) then
      raise exception 'a partitioned table cannot become a hypertable';
    end if;
    if not exists (select from pg_attribute a where a.attrelid = relation and a.attname = time_column_name) then
      raise exception 'no column %', time_column_name;
    end if;
    if exists (select from pg_index i where i.indrelid = relation and i.indisunique and not exists (
         select from pg_attribute a where a.attrelid = relation and a.attname = time_column_name and a.attnum = any(i.indkey))) then
      raise exception 'cannot create a unique index without the column %', time_column_name;
    end if;
  end $$;
  create function add_retention_policy(relation regclass, drop_after anyelement, if_not_exists bool default false)
    returns integer language sql as 'select 1';
  create function remove_retention_policy(relation regclass, if_exists bool default false)
    returns void language sql as '';
  create function add_compression_policy(hypertable regclass, compress_after anyelement, if_not_exists bool default false)
    returns integer language sql as 'select 1';
  create procedure refresh_continuous_aggregate(continuous_aggregate regclass, window_start anyelement,
    window_end anyelement, force bool default false) language sql as '';
  create function time_bucket(bucket_width interval, ts timestamptz) returns timestamptz language sql immutable as
    $$ select date_bin(bucket_width, ts, '2000-01-03 00:00:00+00') $$`;

/** What may stand in parentheses after `with` and `set`. */
const options = {
  'create materialized view': [
    'timescaledb.continuous',
    'timescaledb.materialized_only',
    'timescaledb.create_group_indexes',
    'timescaledb.finalized',
  ],
  'alter table': ['timescaledb.compress', 'timescaledb.compress_segmentby', 'timescaledb.compress_orderby'],
} as const;

/** Plain PostgreSQL that takes what we would say to TimescaleDB. Continuous aggregates are views here: always fresh. */
export async function standIn(database: Database, said: string[]): Promise<(session: Session) => Session> {
  await database.query({ text: documented });
  return (session) => ({
    async query<R extends object>(statement: Statement) {
      said.push(statement.text);
      return session.query<R>({ ...statement, text: inPlain(statement.text) });
    },
  });
}

function inPlain(text: string): string {
  const aggregate = /^create materialized view (\w+)\s+with \(([^)]*)\) as\s([\s\S]*)\swith no data$/.exec(
    text,
  );
  if (aggregate !== null) {
    checkOptions('create materialized view', aggregate[2] ?? '');
    // Real ones may not be made with data inside a transaction.
    return `create view ${aggregate[1]} as ${aggregate[3]}`;
  }
  const altered = /^alter table \w+ set \(([^)]*)\)$/.exec(text);
  if (altered === null) return text;
  checkOptions('alter table', altered[1] ?? '');
  return 'select 1';
}

function checkOptions(of: keyof typeof options, list: string): void {
  for (const part of list.split(',')) {
    const name = part.split('=')[0]?.trim() ?? '';
    assert.ok((options[of] as readonly string[]).includes(name), `${of} knows no option ${name}`);
  }
}
