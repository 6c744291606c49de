import type { Session } from '../database/database.js';
import { eventColumns, type EventRow } from './device-event.js';

/** Who has an event: a relay of a run of an instance. */
export interface Claimer {
  readonly instance: string;
  readonly run: string;
  readonly relay: string;
}

/** Takes open events for `seconds`, in the order in which they are to be published; see the function in schema.sql. */
export async function claimEvents(
  session: Session,
  { most, claimer, seconds }: { most: number; claimer: Claimer; seconds: number },
): Promise<EventRow[]> {
  const { rows } = await session.query<EventRow>({
    name: 'claim-device-events',
    text: `select ${eventColumns} from claim_device_events($1::int, $2, $3::int) e order by e.id`,
    values: [most, nameOf(claimer), seconds],
  });
  return rows;
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
