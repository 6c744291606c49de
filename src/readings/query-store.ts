import type { Session } from '../database/database.js';
import type { PageRequest } from '../http/page.js';
import { isNoMock } from '../statistics/statistics-store.js';

/** A reading as the HTTP API shows it. Times are ISO 8601 in UTC. */
export interface StoredReading {
  readonly id: number;
  readonly meter_id: string;
  readonly user_id: string | null;
  readonly wallet_address: string | null;
  readonly kwh_amount: number;
  readonly reading_timestamp: string;
  readonly submitted_at: string;
  readonly source: string;
  readonly minted: boolean;
}

export interface ChartPoint {
  readonly reading_timestamp: string;
  readonly kwh_amount: number;
}

/** A line of the dashboard's table of meters. */
export interface MeterOverview {
  readonly meter_id: string;
  readonly name: string | null;
  readonly type: string;
  readonly online: boolean;
  readonly last_seen_at: string | null;
  readonly kwh_amount: number | null;
  readonly reading_timestamp: string | null;
}

type Sort = 'reading_timestamp' | 'meter_id' | 'kwh_amount' | 'submitted_at';

// float8 keeps four decimals exactly up to 10^11 kWh, more than the column can hold.
export const columns = `r.id::float8 as id, r.meter_id, r.user_id, r.wallet_address, r.kwh_amount::float8 as kwh_amount,
                 r.reading_timestamp, r.submitted_at, r.source, r.minted`;

const latestReading = `select m.id, m.meter_id, m.user_id, m.wallet_address, m.kwh_amount, m.reading_timestamp,
                              m.submitted_at, m.source, m.minted
                         from meter_readings m where m.meter_id = d.meter_id
                        order by m.reading_timestamp desc limit 1`;

export async function findMeter(database: Session, name: string): Promise<string | null> {
  const { rows } = await database.query<{ meter_id: string }>({
    name: 'meter-find',
    text: `select meter_id from devices where meter_id = $1 or drn = $1 order by meter_id = $1 desc limit 1`,
    values: [name],
  });
  return rows[0]?.meter_id ?? null;
}

export async function selectLatest(
  database: Session,
  { limit, offset, sort, order }: PageRequest<Sort>,
  /** Whose meters alone; null: everybody's. */
  owner: string | null = null,
): Promise<{ data: StoredReading[]; total: number }> {
  const { rows } = await database.query<ReadingRow>({
    text: `select ${columns} from devices d cross join lateral (${latestReading}) r
            where not d.mock and ($3::uuid is null or d.user_id = $3)
            order by r.${sort} ${order}, r.meter_id limit $1 offset $2`,
    values: [limit, offset, owner],
  });
  const counted = await database.query<{ total: number }>({
    text: `select count(*)::float8 as total from devices d
            where not d.mock and ($1::uuid is null or d.user_id = $1)
              and exists (select 1 from meter_readings m where m.meter_id = d.meter_id)`,
    values: [owner],
  });
  return { data: rows.map(forPeople), total: counted.rows[0]?.total ?? 0 };
}

/**
 * By meter_id or drn. Most meters have read lately: a look at the last partitions comes first, all of them cost 20 times
 * as much. Null: there is no such meter; `reading` null: it has none.
 */
export async function findLatestOf(
  database: Session,
  name: string,
): Promise<{ readonly meter_id: string; readonly reading: StoredReading | null } | null> {
  const latest = async (since: string): Promise<LatestRow | undefined> => {
    const { rows } = await database.query<LatestRow>({
      text: `select d.meter_id as known, ${columns} from devices d
               left join lateral (
                 select m.id, m.meter_id, m.user_id, m.wallet_address, m.kwh_amount, m.reading_timestamp, m.submitted_at,
                        m.source, m.minted
                   from meter_readings m where m.meter_id = d.meter_id and m.reading_timestamp >= $2::timestamptz
                  order by m.reading_timestamp desc limit 1) r on true
              where d.meter_id = $1 or d.drn = $1 order by d.meter_id = $1 desc limit 1`,
      values: [name, since],
    });
    return rows[0];
  };
  const lately = await latest(new Date(Date.now() - 2 * 86_400_000).toISOString());
  const row = lately === undefined || lately.id !== null ? lately : await latest('-infinity');
  if (row === undefined) return null;
  const { known, id, ...reading } = row;
  return { meter_id: known, reading: id === null ? null : forPeople({ ...reading, id }) };
}

/** Whose meters are or ever were these, mocks left out. */
export async function findMetersOf(database: Session, user_id: string): Promise<string[]> {
  const { rows } = await database.query<{ meter_id: string }>({
    name: 'meters-of-user',
    text: `select o.meter_id from meter_owners o
            where o.user_id = $1::uuid and ${isNoMock}`,
    values: [user_id],
  });
  return rows.map(({ meter_id }) => meter_id);
}

export async function selectLastDay(database: Session, meter_id: string): Promise<ChartPoint[]> {
  const { rows } = await database.query<PointRow>({
    name: 'reading-last-day',
    text: `select r.reading_timestamp, r.kwh_amount::float8 as kwh_amount from meter_readings r
            where r.meter_id = $1 and r.reading_timestamp > now() - interval '24 hours'
            order by r.reading_timestamp`,
    values: [meter_id],
  });
  return rows.map(pointForPeople);
}

export async function selectMeters(database: Session): Promise<MeterOverview[]> {
  const { rows } = await database.query<OverviewRow>({
    name: 'meter-overview',
    text: `select d.meter_id, d.name, d.type, d.connected_instance is not null as online, d.last_seen_at,
                  r.kwh_amount::float8 as kwh_amount, r.reading_timestamp
             from devices d left join lateral (${latestReading}) r on true
            where not d.mock
            order by d.meter_id limit 1000`,
  });
  return rows.map(overviewForPeople);
}

export interface ReadingRow extends Omit<StoredReading, 'reading_timestamp' | 'submitted_at'> {
  readonly reading_timestamp: Date;
  readonly submitted_at: Date;
}

type LatestRow = Omit<ReadingRow, 'id'> & { readonly known: string; readonly id: number | null };

interface PointRow {
  readonly reading_timestamp: Date;
  readonly kwh_amount: number;
}

interface OverviewRow extends Omit<MeterOverview, 'last_seen_at' | 'reading_timestamp'> {
  readonly last_seen_at: Date | null;
  readonly reading_timestamp: Date | null;
}

export function forPeople(row: ReadingRow): StoredReading {
  return {
    ...row,
    reading_timestamp: row.reading_timestamp.toISOString(),
    submitted_at: row.submitted_at.toISOString(),
  };
}

function pointForPeople({ reading_timestamp, kwh_amount }: PointRow): ChartPoint {
  return { reading_timestamp: reading_timestamp.toISOString(), kwh_amount };
}

function overviewForPeople(row: OverviewRow): MeterOverview {
  return {
    ...row,
    last_seen_at: row.last_seen_at?.toISOString() ?? null,
    reading_timestamp: row.reading_timestamp?.toISOString() ?? null,
  };
}
