/**
 * The API's answers as an expert writes them straight away: SQL over the same tables, nothing written down beside them,
 * nobody asked who he is. For the plain server and for the stock flow's function nodes.
 */
import { Pool, type QueryResultRow } from 'pg';

export interface Asked {
  /** Of the path; '' when it names none. */
  readonly id: string;
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
  /** Whose totals. */
  readonly user: string;
}

export interface Said {
  readonly status: number;
  readonly payload: unknown;
}

export type Question =
  'latest' | 'readings' | 'hourly' | 'daily' | 'totals' | 'balance' | 'devices' | 'submit';

const columns = `id::float8, meter_id, user_id, kwh_amount::float8, reading_timestamp, submitted_at, source, minted`;
const figures = `meter_id, count(*)::float8 as reading_count, sum(kwh_amount)::float8 as total_kwh,
  round(avg(kwh_amount), 4)::float8 as avg_kwh, min(kwh_amount)::float8 as min_kwh, max(kwh_amount)::float8 as max_kwh`;

export function openQuestions(url: string): Readonly<Record<Question, (asked: Asked) => Promise<Said>>> {
  const pool = new Pool({ connectionString: url, max: 10, options: '-c timezone=UTC' });
  const rowsOf = async (text: string, values: unknown[] = [], name?: string): Promise<QueryResultRow[]> =>
    (await pool.query<QueryResultRow>({ text, values, ...(name === undefined ? {} : { name }) })).rows;
  const list = async (
    table: string,
    order: string,
    query: Asked['query'],
    where = 'true',
    values: unknown[] = [],
  ): Promise<Said> => {
    const [page, limit] = [Number(query['page'] ?? 1), Math.min(100, Number(query['limit'] ?? 20))];
    const [counted] = await rowsOf(`select count(*)::float8 as total from ${table} where ${where}`, values);
    const data = await rowsOf(
      `select ${table === 'meter_readings' ? columns : 'id, meter_id, type, name, location, status, user_id, created_at'}
         from ${table} where ${where} order by ${order} limit ${limit} offset ${(page - 1) * limit}`,
      values,
    );
    return found({ data, page, limit, total: counted?.['total'] });
  };
  // Not prepared, and the start of the bucket is no function in SQL: a plan that knows the times reads their days alone.
  const buckets = (unit: 'hour' | 'day', { id, query }: Asked): Promise<QueryResultRow[]> => {
    const unitMs = unit === 'hour' ? 3_600_000 : 86_400_000;
    const start = Math.floor(Date.parse(query['start'] ?? '') / unitMs) * unitMs;
    return rowsOf(
      `select date_trunc('${unit}', reading_timestamp) as ${unit}_bucket, ${figures} from meter_readings
        where meter_id = $1 and reading_timestamp >= $2::timestamptz and reading_timestamp < $3::timestamptz
        group by 1, 2 order by 1`,
      [id, new Date(start).toISOString(), query['end']],
    );
  };
  return {
    latest: async ({ id }) =>
      first(
        await rowsOf(
          `select ${columns} from meter_readings where meter_id = $1 order by reading_timestamp desc limit 1`,
          [id],
          'latest',
        ),
      ),
    readings: ({ id, query }) =>
      list('meter_readings', 'reading_timestamp desc', query, 'meter_id = $1', [id]),
    hourly: async (asked) => found(await buckets('hour', asked)),
    daily: async (asked) => found(await buckets('day', asked)),
    // The meters first, and an array of them: joined with their table, every day would be read as a whole (114 ms, not 5).
    async totals({ user }) {
      const meters = await rowsOf(`select meter_id from devices where user_id = $1`, [user]);
      return first(
        await rowsOf(
          `select coalesce(sum(kwh_amount), 0)::float8 as total_kwh, count(*)::float8 as total_readings,
                  coalesce(sum(kwh_amount) filter (where minted), 0)::float8 as minted_kwh
             from meter_readings where meter_id = any($1::text[])`,
          [meters.map(({ meter_id }) => String(meter_id))],
        ),
      );
    },
    balance: async ({ id }) =>
      first(
        await rowsOf(
          `select meter_id, balance::float8, updated_at from accounts where meter_id = $1 and kind = 'units'`,
          [id],
          'balance',
        ),
      ),
    devices: ({ query, user }) => list('devices', 'meter_id', query, 'user_id = $1', [user]),
    async submit({ body: { meter_id, kwh_amount, reading_timestamp } }) {
      const rows = await rowsOf(
        `insert into meter_readings (meter_id, kwh_amount, reading_timestamp, source)
         select meter_id, $2::numeric, $3::timestamptz, 'http' from devices where meter_id = $1
         on conflict do nothing returning id::float8`,
        [meter_id, kwh_amount, reading_timestamp],
        'submit',
      );
      return { status: rows.length === 1 ? 201 : 200, payload: rows[0] ?? {} };
    },
  };
}

function found(payload: unknown): Said {
  return { status: 200, payload };
}

function first(rows: readonly QueryResultRow[]): Said {
  return rows[0] === undefined ? { status: 404, payload: {} } : found(rows[0]);
}
