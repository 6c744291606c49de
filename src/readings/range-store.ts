import type { Session } from '../database/database.js';
import type { PageRequest } from '../http/page.js';
import { columns, forPeople, type ReadingRow, type StoredReading } from './query-store.js';

/** Null: any. */
export interface ReadingFilter {
  readonly source: 'mqtt' | 'http' | 'batch' | null;
  readonly minted: boolean | null;
}

/** Which readings are asked for. */
export interface RangeScope {
  readonly meters: readonly string[];
  /** Whose meters they were at that time; null: anybody's. */
  readonly user_id: string | null;
  readonly filter: ReadingFilter;
}

type Sort = 'reading_timestamp' | 'meter_id' | 'kwh_amount' | 'submitted_at';
type Span = Pick<PageRequest<Sort>, 'start' | 'end'>;

export async function countRange(session: Session, scope: RangeScope, span: Span): Promise<number> {
  const { where, values } = conditionOf(scope, span);
  const { rows } = await session.query<{ total: number }>({
    text: `select count(*)::float8 as total from meter_readings r where ${where}`,
    values,
  });
  return rows[0]?.total ?? 0;
}

/**
 * The newest page is looked for in the last days first: to plan a look into each of a year's partitions takes longer
 * than to read the page (6 ms instead of 0.2), and the readings of many meters need not all be sorted for it.
 */
export async function selectRange(
  session: Session,
  scope: RangeScope,
  request: PageRequest<Sort>,
  now = Date.now(),
): Promise<StoredReading[]> {
  const { limit, offset, sort, order, start, end } = request;
  const isNewest = sort === 'reading_timestamp' && order === 'desc' && start === null;
  if (isNewest && offset + limit <= newestMax)
    for (const span of scope.meters.length === 1 ? [2 * dayMs] : [dayMs / 8, 2 * dayMs]) {
      const found = await selectPage(session, scope, { ...request, start: Math.min(end ?? now, now) - span });
      // Whatever is older comes later.
      if (found.length === limit) return found;
    }
  return selectPage(session, scope, request);
}

const dayMs = 86_400_000;
/** Of so many the last days know enough, mostly. */
const newestMax = 100;

async function selectPage(
  session: Session,
  scope: RangeScope,
  { limit, offset, sort, order, start, end }: PageRequest<Sort>,
): Promise<StoredReading[]> {
  const { where, values } = conditionOf(scope, { start, end });
  const { rows } = await session.query<ReadingRow>({
    text: `select ${columns} from meter_readings r where ${where}
            order by r.${sort} ${order}, r.reading_timestamp ${order}, r.meter_id
            limit $${values.length + 1} offset $${values.length + 2}`,
    values: [...values, limit, offset],
  });
  return rows.map(forPeople);
}

/** A bound that is none is left out: it would cost each partition's plan as much again. */
function conditionOf({ meters, user_id, filter: { source, minted } }: RangeScope, { start, end }: Span) {
  // An index in order of time is of use for a single meter only.
  const [single] = meters.length === 1 ? meters : [];
  const values: unknown[] = [single ?? meters];
  const where = [
    single === undefined ? 'r.meter_id = any($1::text[])' : 'r.meter_id = $1::text',
    ...(start === null ? [] : [`r.reading_timestamp >= $${values.push(instantOf(start))}::timestamptz`]),
    ...(end === null ? [] : [`r.reading_timestamp < $${values.push(instantOf(end))}::timestamptz`]),
    ...(source === null ? [] : [`r.source = $${values.push(source)}::text`]),
    ...(minted === null ? [] : [`r.minted = $${values.push(minted)}::boolean`]),
    ...(user_id === null ? [] : [`r.user_id = $${values.push(user_id)}::uuid`]),
  ].join(' and ');
  return { where, values };
}

/** PostgreSQL reads the years 1 to 9999 in this form. */
function instantOf(time: number): string {
  if (time < Date.UTC(100, 0)) return '-infinity';
  return time < Date.UTC(10_000, 0) ? new Date(time).toISOString() : 'infinity';
}
