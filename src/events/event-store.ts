import type { Database, Session } from '../database/database.js';
import { eventColumns, type EventRow } from './device-event.js';

/** Any number; every instance must use the same. */
const claimLock = 7_306_135_212;
/** So many open events are looked at for `most` that nobody has: several relays find work side by side. */
const lookAhead = 10;

/** Who has an event: a relay of a run of an instance. */
export interface Claimer {
  readonly instance: string;
  readonly run: string;
  readonly relay: string;
}

/**
 * Takes open events, the oldest first, for `seconds`. An event is taken only when no earlier one of its device is under
 * way anywhere: so several relays keep the order of each device. One claims at a time, in two statements: the second
 * sees what the one before has claimed.
 */
export function claimEvents(
  database: Database,
  { most, claimer, seconds }: { most: number; claimer: Claimer; seconds: number },
): Promise<EventRow[]> {
  return database.transaction(async (tx) => {
    // Nobody waits for the disk: a claim that is lost in a crash means an event twice, not none. The oldest come from
    // the index, also when PostgreSQL believes from earlier days that sorting all of them is cheap.
    await tx.query({
      text: `select set_config('synchronous_commit', 'off', true), set_config('enable_seqscan', 'off', true),
                    set_config('enable_bitmapscan', 'off', true), pg_advisory_xact_lock(${claimLock})`,
    });
    const { rows } = await tx.query<EventRow>({
      text: `with open as materialized (
               select id, device_id, coalesce(claimed_until > now(), false) as taken
                 from device_events where published_at is null order by id limit $1::int * ${lookAhead}
             ), judged as (
               select id, taken, min(id) filter (where taken) over (partition by device_id) as first_taken from open
             ), ready as (
               select e.id from device_events e
                where e.id in (select id from judged where not taken and (first_taken is null or id < first_taken)
                                order by id limit $1)
                order by e.id for update skip locked
             )
             update device_events e
                set claimed_by = $2, claimed_until = now() + $3::int * interval '1 second', attempts = e.attempts + 1
               from ready where e.id = ready.id
             returning ${eventColumns}`,
      values: [most, nameOf(claimer), seconds],
    });
    return rows.sort((a, b) => Number(a.id) - Number(b.id));
  });
}

/** What became of a claimed event. */
export interface Published {
  readonly id: string;
  /** From the change to now, by the database's clock. */
  readonly lagSeconds: number;
}

/**
 * Writes down which of the claimed events were published; the others are open for everybody again. What somebody else
 * has taken meanwhile, because the claim had run out, stays his.
 */
export async function closeEvents(
  session: Session,
  claimer: Claimer,
  { published, others }: { published: readonly string[]; others: readonly string[] },
): Promise<Published[]> {
  const { rows } = await session.query<Published & { left: boolean }>({
    text: `with quick as materialized (select set_config('synchronous_commit', 'off', true) as is)
           update device_events e
              set published_at = case when e.id = any($1::bigint[]) then clock_timestamp() end,
                  claimed_by = null, claimed_until = null
             from quick
            where e.id = any($1::bigint[] || $2::bigint[]) and e.claimed_by = $3 and e.published_at is null
              and quick.is = 'off'
           returning e.id::text, e.published_at is not null as left,
                     extract(epoch from e.published_at - e.occurred_at)::float8 as "lagSeconds"`,
    values: [published, others, nameOf(claimer)],
  });
  return rows.filter(({ left }) => left);
}

/** What an earlier run of this instance had taken and cannot finish. */
export async function freeEarlierClaims(
  session: Session,
  { instance, run }: Pick<Claimer, 'instance' | 'run'>,
): Promise<void> {
  await session.query({
    text: `update device_events set claimed_by = null, claimed_until = null
            where published_at is null and starts_with(claimed_by, $1) and not starts_with(claimed_by, $2)`,
    values: [`${instance}/`, `${instance}/${run}/`],
  });
}

export async function countOpenEvents(session: Session): Promise<number> {
  const { rows } = await session.query<{ open: number }>({
    text: 'select count(*)::int as open from device_events where published_at is null',
  });
  return rows[0]?.open ?? 0;
}

function nameOf({ instance, run, relay }: Claimer): string {
  return `${instance}/${run}/${relay}`;
}
