import type { Session } from '../database/database.js';
import { wantCommandsAfterTokens } from '../balances/wanted-commands.js';
import { postAll } from '../ledger/entries.js';
import { fromTenThousandths } from '../ledger/money.js';
import type { InjectionStatus, Refusal } from './record.js';
import { lockTokenAccounts } from './unit-account-store.js';

/** What an injection ends with. */
export interface Ending {
  readonly id: string;
  readonly meterId: string;
  readonly status: Exclude<InjectionStatus, 'waiting'>;
  readonly code: string | null;
  readonly refusal: Refusal | null;
  readonly reason: string | null;
  /** Ten-thousandths of a unit; of a success. */
  readonly units: number | null;
  /** JSON as the meter sent it; null without one. Of one that is unanswered: an answer that may be another's. */
  readonly answer: string | null;
  readonly answeredAt: number | null;
  readonly vendorStatus: number | null;
  readonly vendorAttempts: number | null;
  /** When the vendor accepted, and what it calls the message: the record may not say so yet. */
  readonly acknowledgedAt?: number | null;
  readonly messageId?: string | null;
  /** False: the vendor cannot have it, so that another meter may use the token. */
  readonly wasSent: boolean;
  readonly late: boolean;
  readonly caller: string;
}

/** What an answer that comes late can still complete. */
export function openToLate(t: string): string {
  return `(${t}.sent_at is not null
           and (${t}.status = 'unanswered' or (${t}.status = 'failed' and ${t}.code = 'TOKEN_API_FAILED')))`;
}

/**
 * Ends injections, each once: those that wait, or with `late` those that ended without an answer. A success enters its
 * units into the ledger in the same transaction.
 * @returns for each whether it was ended by this; false also for a token that another record has booked
 */
export async function endAll(tx: Session, endings: readonly Ending[]): Promise<boolean[]> {
  // An answer may be heard twice at the same moment: by the subscription, and from the broker's deliveries.
  const firsts = new Map<string, Ending>();
  for (const ending of endings) if (!firsts.has(ending.id)) firsts.set(ending.id, ending);
  const ended = await endEach(tx, [...firsts.values()]);
  return endings.map((ending) => firsts.get(ending.id) === ending && ended.has(ending.id));
}

/** @param endings of different injections */
async function endEach(tx: Session, endings: readonly Ending[]): Promise<Set<string>> {
  const successes = endings.filter(({ status, units }) => status === 'success' && (units ?? 0) > 0);
  const meters = [...new Set(successes.map(({ meterId }) => meterId))];
  // Before anything is locked, as everybody does.
  const accounts = meters.length === 0 ? undefined : await lockTokenAccounts(tx, meters);
  const ended = await updateAll(tx, endings);
  const booked = successes.filter(({ id }) => ended.has(id));
  if (accounts !== undefined && booked.length > 0) {
    const { issued, units: unitsOf, commanded } = accounts;
    await postAll(
      tx,
      booked.map(({ id, meterId, units, caller, answeredAt }) => {
        const amount = fromTenThousandths(BigInt(units ?? 0));
        const occurredAt = answeredAt === null ? undefined : new Date(answeredAt);
        return {
          kind: 'token' as const,
          memo: `token injection ${id}`,
          caller,
          entries: [
            { accountId: issued, amount: -amount, occurredAt },
            { accountId: unitsOf.get(meterId) ?? '', amount, occurredAt },
          ],
        };
      }),
    );
    const told = new Set(booked.map(({ meterId }) => meterId).filter((meterId) => commanded.has(meterId)));
    if (told.size > 0) await wantCommandsAfterTokens(tx, [...told]);
  }
  return ended;
}

async function updateAll(tx: Session, endings: readonly Ending[]): Promise<Set<string>> {
  const { rows } = await tx.query<{ id: string }>({
    name: 'end-injections',
    text: `update token_injections t
              set status = e.status, code = e.code, refusal = e.refusal, reason = e.reason,
                  injected_units = (e.units * 0.0001)::numeric(14, 4), answer = e.answer,
                  phase = case when e.answered_at is not null and e.status <> 'unanswered' then 'answered'
                               when e.acknowledged_at is not null then 'acknowledged' else t.phase end,
                  answered_at = e.answered_at, finished_at = now(), late = e.late,
                  vendor_status = coalesce(e.vendor_status, t.vendor_status),
                  vendor_attempts = coalesce(e.vendor_attempts, t.vendor_attempts),
                  acknowledged_at = coalesce(e.acknowledged_at, t.acknowledged_at),
                  message_id = coalesce(e.message_id, t.message_id),
                  sent_at = case when e.was_sent then t.sent_at end
             from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::json[],
                         $8::timestamptz[], $9::integer[], $10::integer[], $11::boolean[], $12::boolean[],
                         $13::timestamptz[], $14::text[]) as e
               (id, status, code, refusal, reason, units, answer, answered_at, vendor_status, vendor_attempts,
                was_sent, late, acknowledged_at, message_id)
            where t.id = e.id
              and case when e.late then ${openToLate('t')}
                       else t.status = 'waiting' end
              and not (e.status = 'success' and (
                    select true from token_injections o
                     where o.token_hash = t.token_hash and o.status = 'success' limit 1) is true)
           returning t.id`,
    values: [
      endings.map(({ id }) => id),
      endings.map(({ status }) => status),
      endings.map(({ code }) => code),
      endings.map(({ refusal }) => refusal),
      endings.map(({ reason }) => reason),
      endings.map(({ units }) => units),
      endings.map(({ answer }) => answer),
      endings.map(({ answeredAt }) => iso(answeredAt)),
      endings.map(({ vendorStatus }) => vendorStatus),
      endings.map(({ vendorAttempts }) => vendorAttempts),
      endings.map(({ wasSent }) => wasSent),
      endings.map(({ late }) => late),
      endings.map(({ acknowledgedAt }) => iso(acknowledgedAt ?? null)),
      endings.map(({ messageId }) => messageId ?? null),
    ],
  });
  return new Set(rows.map(({ id }) => id));
}

/**
 * Keeps an answer with one of the injections that it may belong to, and that has room for it: it is reckoned with when
 * the next one comes.
 */
export async function keepAnswer(
  session: Session,
  { ids, answer, at }: { readonly ids: readonly string[]; readonly answer: string; readonly at: number },
): Promise<void> {
  await session.query({
    name: 'keep-token-answer',
    text: `update token_injections set answer = $2::json, answered_at = $3::timestamptz
            where id = (select t.id from token_injections t
                         where t.id = any($1::uuid[]) and t.answer is null and ${openToLate('t')}
                         order by t.requested_at, t.id limit 1 for update)`,
    values: [ids, answer, iso(at)],
  });
}

function iso(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
