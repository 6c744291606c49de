import type { Session } from '../database/database.js';
import type { PageRequest } from '../http/page.js';
import type { MintRequest, MintState } from './mint-request.js';
import type { MintableReading } from './reading-store.js';

const mintColumns = `m.id, m.reading_id::float8 as reading_id, m.meter_id, m.reading_timestamp, m.user_id,
  m.wallet_address, m.kwh_amount::float8 as kwh_amount, m.idempotency_key, m.state, m.in_doubt, m.attempts, m.reason,
  m.tx_signature, m.caller, m.requested_at, m.next_at, m.deadline_at, m.finished_at`;

/** `kwh_amount` is read here, from the reading: what is asked for is what is stored. @returns null: there is one already, or no such reading */
export async function insertRequest(
  tx: Session,
  reading: MintableReading,
  { caller, deadlineMs }: { readonly caller: string; readonly deadlineMs: number },
): Promise<MintRequest | null> {
  const { rows } = await tx.query<Row>({
    text: `insert into mint_requests as m (reading_id, meter_id, reading_timestamp, idempotency_key, user_id, wallet_address,
                                           kwh_amount, caller, deadline_at)
           select r.id, r.meter_id, r.reading_timestamp,
                  'reading-' || r.meter_id || '-' || (extract(epoch from r.reading_timestamp) * 1000000)::bigint,
                  r.user_id, $3, r.kwh_amount, $4, now() + $5 * interval '1 millisecond'
             from meter_readings r where r.meter_id = $1 and r.reading_timestamp = $2 and not r.minted
           on conflict do nothing
           returning ${mintColumns}`,
    values: [reading.meter_id, reading.reading_timestamp, reading.wallet_address, caller, deadlineMs],
  });
  return rows.map(forPeople)[0] ?? null;
}

export async function lockRequest(
  tx: Session,
  { meter_id, reading_timestamp }: Pick<MintableReading, 'meter_id' | 'reading_timestamp'>,
): Promise<MintRequest | null> {
  const { rows } = await tx.query<Row>({
    text: `select ${mintColumns} from mint_requests m where m.meter_id = $1 and m.reading_timestamp = $2 for update`,
    values: [meter_id, reading_timestamp],
  });
  return rows.map(forPeople)[0] ?? null;
}

export async function findRequest(
  session: Session,
  { meter_id, reading_timestamp }: Pick<MintableReading, 'meter_id' | 'reading_timestamp'>,
): Promise<MintRequest | null> {
  const { rows } = await session.query<Row>({
    text: `select ${mintColumns} from mint_requests m where m.meter_id = $1 and m.reading_timestamp = $2`,
    values: [meter_id, reading_timestamp],
  });
  return rows.map(forPeople)[0] ?? null;
}

/** Begins anew, under the same key. Of what the service may have, nothing may change. */
export async function reopenRequest(
  tx: Session,
  id: string,
  reading: Pick<MintableReading, 'wallet_address'>,
  deadlineMs: number,
): Promise<MintRequest | null> {
  const { rows } = await tx.query<Row>({
    text: `update mint_requests m
              set state = 'waiting', reason = null, next_at = now(), finished_at = null, told_at = null, claimed_until = null,
                  deadline_at = now() + $3 * interval '1 millisecond', attempts = 0,
                  wallet_address = case when m.in_doubt then m.wallet_address else $2 end
            where m.id = $1 returning ${mintColumns}`,
    values: [id, reading.wallet_address, deadlineMs],
  });
  return rows.map(forPeople)[0] ?? null;
}

/** Heard by the relays of all instances, after the commit. */
export async function tellRelays(tx: Session): Promise<void> {
  await tx.query({ text: `select pg_notify('mint_requests_changed', '')` });
}

/** Which ones; null: any. */
export interface RequestFilter {
  readonly states: readonly MintState[] | null;
  readonly meter: string | null;
  readonly wallet: string | null;
}

const matching = `($1::text[] is null or m.state = any($1)) and ($2::text is null or m.meter_id = $2)
  and ($3::text is null or m.wallet_address = $3)
  and ($4::timestamptz is null or m.requested_at >= $4) and ($5::timestamptz is null or m.requested_at < $5)`;

export async function selectRequests(
  session: Session,
  { limit, offset, order, start, end }: PageRequest<'requested_at'>,
  { states, meter, wallet }: RequestFilter,
): Promise<{ data: MintRequest[]; total: number }> {
  const filter = [states, meter, wallet, iso(start), iso(end)];
  const { rows } = await session.query<Row>({
    text: `select ${mintColumns} from mint_requests m where ${matching}
            order by m.requested_at ${order}, m.id ${order} limit $6 offset $7`,
    values: [...filter, limit, offset],
  });
  const counted = await session.query<{ total: number }>({
    text: `select count(*)::float8 as total from mint_requests m where ${matching}`,
    values: filter,
  });
  return { data: rows.map(forPeople), total: counted.rows[0]?.total ?? 0 };
}

export async function selectRequest(session: Session, id: string): Promise<MintRequest | null> {
  const { rows } = await session.query<Row>({
    text: `select ${mintColumns} from mint_requests m where m.id = $1`,
    values: [id],
  });
  return rows.map(forPeople)[0] ?? null;
}

type Times = 'reading_timestamp' | 'requested_at' | 'next_at' | 'deadline_at' | 'finished_at';
type Row = Omit<MintRequest, Times> & {
  readonly [T in Exclude<Times, 'finished_at'>]: Date;
} & { readonly finished_at: Date | null };

function forPeople(row: Row): MintRequest {
  return {
    ...row,
    reading_timestamp: row.reading_timestamp.toISOString(),
    requested_at: row.requested_at.toISOString(),
    next_at: row.state === 'waiting' ? row.next_at.toISOString() : null,
    deadline_at: row.deadline_at.toISOString(),
    finished_at: row.finished_at?.toISOString() ?? null,
  };
}

function iso(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}
