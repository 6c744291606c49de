import type { Session } from '../database/database.js';
import { wantCommandsAfterTokens } from '../balances/wanted-commands.js';
import { ensureAccounts, systemAccount } from '../ledger/accounts.js';
import { postAll } from '../ledger/entries.js';
import { fromTenThousandths } from '../ledger/money.js';
import type { InjectionPhase, InjectionStatus, Refusal } from './record.js';

/** An injection whose turn has come. */
export interface NewInjection {
  readonly id: string;
  readonly meterNumber: string;
  readonly meterId: string;
  readonly tokenHash: Buffer;
  readonly tokenLast4: string;
  readonly caller: string;
  readonly instance: string;
  readonly run: string;
  /** Unix ms. */
  readonly requestedAt: number;
  /** When nobody can be waiting for it any more. */
  readonly deadlineMs: number;
}

export type Begun =
  | {
      readonly outcome: 'begun';
      /** Another token of the meter was sent within the hour and never answered: its answer may still come. */
      readonly isOutstanding: boolean;
      /** This very token was sent to the meter before, without an answer: it may be booked. */
      readonly isRepeated: boolean;
    }
  /** Confirmed by a meter; bound to another meter. `id` of that injection. */
  | { readonly outcome: 'used' | 'bound'; readonly id: string }
  /** Another instance waits for this meter: for the same token, or for another one. */
  | { readonly outcome: 'busy'; readonly id: string; readonly isSame: boolean };

/** How long an answer of an earlier token is reckoned with. */
const outstandingFor = `interval '1 hour'`;

/**
 * Writes them down, each unless its token is used or bound, or its meter is busy. Both unique indexes of what waits
 * decide between instances that come at the same moment.
 */
export async function beginAll(session: Session, news: readonly NewInjection[]): Promise<Begun[]> {
  const { rows } = await session.query<BegunRow>({
    name: 'begin-injections',
    text: `with n as materialized (
             select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[],
                                  $8::uuid[], $9::timestamptz[], $10::float8[]) with ordinality as n
               (id, meter_number, meter_id, token_hash, token_last4, caller, instance, run, requested_at, ms, place)
           ), judged as materialized (
             select n.*,
                    (select t.id from token_injections t
                      where t.token_hash = n.token_hash and t.status = 'success') as used_by,
                    (select t.id from token_injections t
                      where t.token_hash = n.token_hash and t.meter_id <> n.meter_id
                        and (t.status = 'waiting'
                             or (t.sent_at is not null and t.refusal is distinct from 'wrong_meter'))
                      limit 1) as bound_by,
                    exists (select from token_injections t
                             where t.meter_id = n.meter_id and t.token_hash <> n.token_hash
                               and t.status = 'unanswered' and t.sent_at > now() - ${outstandingFor}) as outstanding,
                    exists (select from token_injections t
                             where t.meter_id = n.meter_id and t.token_hash = n.token_hash and t.sent_at is not null
                               and (t.status = 'unanswered' or t.code = 'TOKEN_API_FAILED')) as repeated
               from n
           ), begun as (
             insert into token_injections (id, meter_number, meter_id, token_hash, token_last4, caller, instance, run,
                                           requested_at, deadline_at)
             select id, meter_number, meter_id, token_hash, token_last4, caller, instance, run, requested_at,
                    now() + ms * interval '1 millisecond'
               from judged where used_by is null and bound_by is null order by place
             on conflict do nothing
             returning id
           )
           select used_by, bound_by, outstanding, repeated, begun.id is not null as begun
             from judged j left join begun on begun.id = j.id order by place`,
    values: [
      news.map(({ id }) => id),
      news.map(({ meterNumber }) => meterNumber),
      news.map(({ meterId }) => meterId),
      news.map(({ tokenHash }) => tokenHash),
      news.map(({ tokenLast4 }) => tokenLast4),
      news.map(({ caller }) => caller),
      news.map(({ instance }) => instance),
      news.map(({ run }) => run),
      news.map(({ requestedAt }) => new Date(requestedAt).toISOString()),
      news.map(({ deadlineMs }) => deadlineMs),
    ],
  });
  return Promise.all(rows.map((row, index) => begunOf(session, row, news[index])));
}

interface BegunRow {
  readonly used_by: string | null;
  readonly bound_by: string | null;
  readonly outstanding: boolean;
  readonly repeated: boolean;
  readonly begun: boolean;
}

async function begunOf(session: Session, row: BegunRow, wanted: NewInjection | undefined): Promise<Begun> {
  if (row.used_by !== null) return { outcome: 'used', id: row.used_by };
  if (row.bound_by !== null) return { outcome: 'bound', id: row.bound_by };
  if (row.begun) return { outcome: 'begun', isOutstanding: row.outstanding, isRepeated: row.repeated };
  const { rows } = await session.query<{ id: string; same: boolean; meter_id: string }>({
    name: 'waiting-injection',
    text: `select id, token_hash = $2 as same, meter_id from token_injections
            where status = 'waiting' and (meter_id = $1 or token_hash = $2) order by meter_id = $1 desc limit 1`,
    values: [wanted?.meterId, wanted?.tokenHash],
  });
  const other = rows[0];
  // Gone in between: the next attempt tells.
  if (other === undefined) return { outcome: 'busy', id: '', isSame: false };
  if (other.meter_id !== wanted?.meterId) return { outcome: 'bound', id: other.id };
  return { outcome: 'busy', id: other.id, isSame: other.same };
}

/** How far injections came that still wait. Times in Unix ms; null leaves what is there. */
export interface Progress {
  readonly id: string;
  readonly phase: InjectionPhase;
  readonly subscribedAt: number | null;
  readonly sentAt: number | null;
  readonly acknowledgedAt: number | null;
  readonly vendorStatus: number | null;
  readonly vendorAttempts: number | null;
  readonly messageId: string | null;
}

/** @returns for each whether it still waited */
export async function noteAll(session: Session, progress: readonly Progress[]): Promise<boolean[]> {
  const { rows } = await session.query<{ noted: boolean }>({
    name: 'note-injections',
    text: `with p as materialized (
             select * from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[],
                                  $6::integer[], $7::integer[], $8::text[]) with ordinality as p
               (id, phase, subscribed_at, sent_at, acknowledged_at, vendor_status, vendor_attempts, message_id, place)
           ), noted as (
             update token_injections t
                set phase = p.phase,
                    subscribed_at = coalesce(p.subscribed_at, t.subscribed_at),
                    sent_at = coalesce(p.sent_at, t.sent_at),
                    acknowledged_at = coalesce(p.acknowledged_at, t.acknowledged_at),
                    vendor_status = coalesce(p.vendor_status, t.vendor_status),
                    vendor_attempts = coalesce(p.vendor_attempts, t.vendor_attempts),
                    message_id = coalesce(p.message_id, t.message_id)
               from p where t.id = p.id and t.status = 'waiting'
             returning t.id
           )
           select noted.id is not null as noted from p left join noted on noted.id = p.id order by place`,
    values: [
      progress.map(({ id }) => id),
      progress.map(({ phase }) => phase),
      progress.map(({ subscribedAt }) => iso(subscribedAt)),
      progress.map(({ sentAt }) => iso(sentAt)),
      progress.map(({ acknowledgedAt }) => iso(acknowledgedAt)),
      progress.map(({ vendorStatus }) => vendorStatus),
      progress.map(({ vendorAttempts }) => vendorAttempts),
      progress.map(({ messageId }) => messageId),
    ],
  });
  return rows.map(({ noted }) => noted);
}

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
  /** JSON as the meter sent it; null without an answer. */
  readonly answer: string | null;
  readonly answeredAt: number | null;
  readonly vendorStatus: number | null;
  readonly vendorAttempts: number | null;
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
  const successes = endings.filter(({ status, units }) => status === 'success' && (units ?? 0) > 0);
  const meters = [...new Set(successes.map(({ meterId }) => meterId))];
  // Before anything is locked, as everybody does.
  const accounts = meters.length === 0 ? new Map<string, string>() : await lockUnits(tx, meters);
  const ended = await updateAll(tx, endings);
  const booked = successes.filter(({ id }) => ended.has(id));
  if (booked.length > 0) {
    const issued = await systemAccount(tx, 'issued');
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
            { accountId: accounts.get(meterId) ?? '', amount, occurredAt },
          ],
        };
      }),
    );
    await wantCommandsAfterTokens(tx, [...new Set(booked.map(({ meterId }) => meterId))]);
  }
  return endings.map(({ id }) => ended.has(id));
}

/** The account of units of each meter, made when it is missing, locked in everybody's order. */
async function lockUnits(tx: Session, meterIds: readonly string[]): Promise<Map<string, string>> {
  const locked = await selectUnits(tx, meterIds);
  if (locked.size === meterIds.length) return locked;
  // Nothing may be locked while accounts are made.
  throw new AccountsMissing(meterIds);
}

/** Thrown before anything is written: make them with `openAccounts`, and begin anew. */
export class AccountsMissing extends Error {
  constructor(readonly meterIds: readonly string[]) {
    super('Meters without an account of units.');
  }
}

export async function openAccounts(session: Session, meterIds: readonly string[]): Promise<void> {
  await ensureAccounts(session, meterIds, null);
}

async function selectUnits(tx: Session, meterIds: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await tx.query<{ id: string; meter_id: string }>({
    name: 'lock-units',
    text: `select id, meter_id from accounts
            where meter_id = any($1::text[]) and kind = 'units' and currency = ''
            order by id for no key update`,
    values: [meterIds],
  });
  return new Map(rows.map(({ id, meter_id }) => [meter_id, id]));
}

async function updateAll(tx: Session, endings: readonly Ending[]): Promise<Set<string>> {
  const { rows } = await tx.query<{ id: string }>({
    name: 'end-injections',
    text: `update token_injections t
              set status = e.status, code = e.code, refusal = e.refusal, reason = e.reason,
                  injected_units = (e.units * 0.0001)::numeric(14, 4), answer = e.answer,
                  phase = case when e.answered_at is not null then 'answered' else t.phase end,
                  answered_at = e.answered_at, finished_at = now(), late = e.late,
                  vendor_status = coalesce(e.vendor_status, t.vendor_status),
                  vendor_attempts = coalesce(e.vendor_attempts, t.vendor_attempts),
                  sent_at = case when e.was_sent then t.sent_at end
             from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::json[],
                         $8::timestamptz[], $9::integer[], $10::integer[], $11::boolean[], $12::boolean[]) as e
               (id, status, code, refusal, reason, units, answer, answered_at, vendor_status, vendor_attempts,
                was_sent, late)
            where t.id = e.id
              and case when e.late then ${openToLate('t')}
                       else t.status = 'waiting' end
              and not (e.status = 'success' and exists (
                    select from token_injections o where o.token_hash = t.token_hash and o.status = 'success'))
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
    ],
  });
  return new Set(rows.map(({ id }) => id));
}

function iso(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
