import type { Database, Session } from '../database/database.js';
import type { MintOrder, Minted, MintState } from './mint-request.js';
import { markMinted } from './reading-store.js';

/** A request whose turn it is. */
export interface ClaimedRequest extends MintOrder {
  readonly id: string;
  readonly user_id: string | null;
  readonly state: MintState;
  readonly tx_signature: string | null;
  readonly reason: string | null;
  /** Before this attempt: the service may have it from an earlier one. */
  readonly was_in_doubt: boolean;
  readonly attempts: number;
  readonly is_past_deadline: boolean;
}

/**
 * Takes requests whose turn it is, and those that ended and were not told. From here on they are in doubt: whoever dies
 * with a request on its way leaves it so.
 * @param claim names this turn; nobody else has the same
 */
export async function claimRequests(
  session: Session,
  { most, claim, seconds }: { readonly most: number; readonly claim: string; readonly seconds: number },
): Promise<ClaimedRequest[]> {
  const { rows } = await session.query<ClaimedRequest>({
    name: 'claim-mint-requests',
    text: `with due as (
             select id, in_doubt from mint_requests
              where told_at is null and next_at <= now() and (claimed_until is null or claimed_until < now())
              order by next_at, id limit $1 for update skip locked
           )
           update mint_requests m
              set claimed_by = $2, claimed_until = now() + $3 * interval '1 second',
                  attempts = m.attempts + (m.state = 'waiting')::int, in_doubt = m.in_doubt or m.state = 'waiting'
             from due where due.id = m.id
           returning m.id, m.idempotency_key, m.reading_id::float8 as reading_id, m.meter_id,
                     to_char(m.reading_timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as reading_timestamp,
                     m.user_id, m.wallet_address, m.kwh_amount::float8 as kwh_amount, m.state, m.tx_signature, m.reason,
                     due.in_doubt as was_in_doubt, m.attempts, m.deadline_at <= now() as is_past_deadline`,
    values: [most, claim, seconds],
  });
  return rows;
}

/** Truth, whoever's claim it is: in one transaction with the reading. @returns false: it was known already */
export function endMinted(
  database: Database,
  request: Pick<ClaimedRequest, 'id' | 'meter_id' | 'reading_timestamp'>,
  txSignature: string,
): Promise<{ readonly isNew: boolean; readonly tookSeconds: number }> {
  return database.transaction(async (tx) => {
    const { rows } = await tx.query<{ took: number }>({
      name: 'end-minted-request',
      text: `update mint_requests
                set state = 'minted', tx_signature = $2, in_doubt = false, reason = null, finished_at = now(), next_at = now(),
                    told_at = null, claimed_until = now() + interval '10 seconds'
              where id = $1 and state <> 'minted'
             returning extract(epoch from now() - requested_at)::float8 as took`,
      values: [request.id, txSignature],
    });
    if (rows[0] === undefined) return { isNew: false, tookSeconds: 0 };
    await markMinted(tx, request, txSignature);
    return { isNew: true, tookSeconds: rows[0].took };
  });
}

/** By whoever holds the claim. @returns false: somebody else does */
export async function endUnminted(
  session: Session,
  { id, claim }: { readonly id: string; readonly claim: string },
  end: { readonly state: 'refused' | 'abandoned'; readonly reason: string; readonly inDoubt: boolean },
): Promise<boolean> {
  const { rowCount } = await session.query({
    name: 'end-unminted-request',
    text: `update mint_requests
              set state = $3, reason = $4, in_doubt = $5, finished_at = now(), next_at = now(),
                  claimed_until = now() + interval '10 seconds'
            where id = $1 and claimed_by = $2 and state = 'waiting'`,
    values: [id, claim, end.state, end.reason, end.inDoubt],
  });
  return rowCount > 0;
}

/** The next attempt comes later, but the last one not after the deadline. */
export async function putOff(
  session: Session,
  { id, claim }: { readonly id: string; readonly claim: string },
  {
    reason,
    inDoubt,
    afterMs,
  }: { readonly reason: string; readonly inDoubt: boolean; readonly afterMs: number },
): Promise<void> {
  await session.query({
    name: 'put-mint-request-off',
    text: `update mint_requests
              set reason = $3, in_doubt = $4, claimed_until = null,
                  next_at = least(now() + $5 * interval '1 millisecond', greatest(deadline_at, now() + interval '1 second'))
            where id = $1 and claimed_by = $2 and state = 'waiting'`,
    values: [id, claim, reason, inDoubt, afterMs],
  });
}

/** Its end has left through an output. */
export async function markTold(session: Session, id: string): Promise<void> {
  await session.query({
    name: 'mark-mint-request-told',
    text: `update mint_requests set told_at = now(), claimed_until = null where id = $1 and state <> 'waiting'`,
    values: [id],
  });
}

export async function countWaiting(session: Session): Promise<number> {
  const { rows } = await session.query<{ waiting: number }>({
    name: 'count-waiting-mint-requests',
    text: `select count(*)::int as waiting from mint_requests where told_at is null and state = 'waiting'`,
  });
  return rows[0]?.waiting ?? 0;
}

export function mintedOf(request: ClaimedRequest, txSignature: string): Minted {
  const { reading_id, kwh_amount, meter_id, user_id, wallet_address } = request;
  return { reading_id, tx_signature: txSignature, amount: kwh_amount, meter_id, user_id, wallet_address };
}
