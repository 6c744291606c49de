import { setTimeout as delay } from 'node:timers/promises';
import { isTransient, untilCommitted, type Database } from '../database/database.js';
import { DomainError } from '../errors.js';
import { fromTenThousandths, unitsNumber } from '../ledger/money.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import { createLane, type CommitOptions, type Lane } from '../readings/lane.js';
import type { Rules } from './judge.js';
import type { Notice } from './notice.js';
import type { Payment } from './payment.js';
import { Overtaken, settle, type Case, type Settled } from './settle.js';
import { createTurns } from './turns.js';

export interface Acceptance {
  /**
   * Resolves when what became of the notice is committed. The same one again is a duplicate.
   * @throws DomainError DATABASE_UNAVAILABLE when too many wait, or the signal's reason
   */
  accept(notice: Notice, options: { readonly signal: AbortSignal }): Promise<Payment>;
}

export interface AcceptanceOptions extends Rules {
  /** Transactions at a time. On two cores one is faster than two (1,100 a second to 500): its groups are larger. */
  readonly lanes?: number;
  /** Most notices of one transaction. */
  readonly groupMax?: number;
}

/** Beyond it callers hear 503 at once: the provider tries again, or is asked. */
const waitingMax = 5_000;
/** A callback may overtake the answer to the request that it is about; so long its prompt is waited for. */
const promptMs = 2_000;
const promptWaitMs = 100;
const attemptsMax = 10;
/** At 200 callbacks a second groups of four instead of two: half the work for the database, hence shorter queues. */
const linger = { ms: 5, below: 16 };
const log = logger('payments');

interface Item extends Case {
  settled?: Settled;
  failure?: unknown;
}

/**
 * Group commit: what arrives while a transaction is on its way joins the next one. No two of a group are about the same
 * receipt, prompt or callback, so that none of them must see the other: a copy waits until the first is committed, and
 * joins the next group. It takes the same lane, hence never each other's locks.
 */
export function createAcceptance(database: Database, options: AcceptanceOptions): Acceptance {
  const { lanes: laneCount = 1, groupMax = 128, shortCode } = options;
  const rules: Rules = { shortCode };
  const lanes = Array.from({ length: laneCount }, () =>
    createLane<Item>({ batchMax: groupMax, linger, commit: (items, wait) => commit(items, wait) }),
  );
  const turns = createTurns();
  let waiting = 0;

  async function commit(items: readonly Item[], wait: Required<CommitOptions>): Promise<void> {
    try {
      store(items, await settleGroup(items, wait));
    } catch (error) {
      if (isTransient(error)) throw error;
      // One of them cannot be settled: the others can.
      for (const item of items) await settleAlone(item, wait);
    }
  }

  async function settleAlone(item: Item, wait: Required<CommitOptions>): Promise<void> {
    try {
      store([item], await settleGroup([item], wait).catch((error: unknown) => suspend(item, error, wait)));
    } catch (error) {
      if (isTransient(error)) throw error;
      item.failure = error;
    }
  }

  /** Money that has moved is kept, even when nothing can be sold for it. */
  async function suspend(item: Item, error: unknown, wait: Required<CommitOptions>): Promise<Settled[]> {
    if (isTransient(error) || !item.notice.paid) throw error;
    log.error(
      { err: error, receipt: item.notice.receipt },
      'a payment could not be sold: it goes to suspense',
    );
    return settleGroup([item], wait, true);
  }

  function settleGroup(
    group: readonly Item[],
    wait: Required<CommitOptions>,
    suspended = false,
  ): Promise<Settled[]> {
    return untilCommitted(database, () => withoutOvertaking(group, suspended), wait);
  }

  async function withoutOvertaking(group: readonly Item[], suspended: boolean): Promise<Settled[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await database.transaction((tx) => settle(tx, group, rules, suspended), { plans: 'indexes' });
      } catch (error) {
        // What was faster is committed, and seen the next time.
        if (!(error instanceof Overtaken) || attempt >= attemptsMax) throw error;
      }
    }
  }

  async function once(item: Item, signal: AbortSignal): Promise<Settled> {
    if (waiting >= waitingMax)
      throw new DomainError('DATABASE_UNAVAILABLE', 'Too many payments wait for the database.');
    waiting += 1;
    try {
      await turns.take(keysOf(item.notice), signal, () => laneOf(lanes, item.notice).add([item], { signal }));
    } finally {
      waiting -= 1;
    }
    if (item.failure !== undefined) throw item.failure;
    if (item.settled === undefined) throw new Error('A payment left its lane unsettled.');
    return item.settled;
  }

  return {
    async accept(notice, { signal }) {
      const received_at = Date.now();
      for (;;) {
        const isLate = Date.now() - received_at >= promptMs;
        const settled = await once({ notice, received_at, isLate }, signal);
        if (settled.outcome !== 'early') return told(notice, received_at, settled);
        await delay(promptWaitMs, undefined, { signal, ref: false });
      }
    },
  };
}

function store(group: readonly Item[], settled: readonly Settled[]): void {
  group.forEach((item, index) => {
    const one = settled[index];
    if (one !== undefined) item.settled = one;
  });
}

/** Notices that share one are about the same receipt, prompt or callback. */
function keysOf({ sha256, receipt, checkout_request_id }: Notice): string[] {
  return [
    sha256,
    ...(receipt === null ? [] : [`r${receipt.toUpperCase()}`]),
    ...(checkout_request_id === null ? [] : [`c${checkout_request_id}`]),
  ];
}

function laneOf(lanes: readonly Lane<Item>[], { receipt, checkout_request_id, sha256 }: Notice): Lane<Item> {
  let hash = 0;
  for (const char of (receipt ?? checkout_request_id ?? sha256).toUpperCase())
    hash = Math.imul(hash, 31) + char.charCodeAt(0);
  const lane = lanes[(hash >>> 0) % lanes.length];
  if (lane === undefined) throw new Error('There is no lane.');
  return lane;
}

/** Counted and logged once, by the one who stored it; never with a phone number. */
function told(notice: Notice, received_at: number, settled: Settled): Payment {
  const payment = asPayment(notice, received_at, settled);
  const { outcome, channel, receipt, amount, meter_id, reason, checkout_request_id } = payment;
  metrics.payments.inc({ outcome });
  const about = { channel, receipt, amount, meter_id, reason, checkout_request_id };
  if (outcome === 'disputed') log.error(about, 'a payment is disputed: nothing was credited');
  else if (outcome === 'suspense') log.warn(about, 'a payment was kept in suspense: no meter is credited');
  else log.debug(about, `payment ${outcome}`);
  return payment;
}

function asPayment(
  notice: Notice,
  received_at: number,
  { outcome, payment_id, payment, sale }: Settled,
): Payment {
  const amount = payment?.amount ?? notice.amount;
  return {
    outcome: outcome === 'early' ? 'duplicate' : outcome,
    id: payment_id === null ? null : Number(payment_id),
    channel: notice.channel,
    receipt: payment?.receipt ?? notice.receipt,
    amount: amount === null ? null : Number(amount),
    currency: payment?.currency ?? null,
    meter_number: payment?.meter_number ?? notice.meter_number,
    meter_id: payment?.meter_id ?? null,
    phone: payment?.phone ?? notice.phone,
    result_code: notice.result_code,
    reason: payment?.reason ?? null,
    checkout_request_id: notice.checkout_request_id,
    paid_at: notice.paid_at === null ? null : new Date(notice.paid_at).toISOString(),
    received_at: new Date(received_at).toISOString(),
    units: sale === null ? null : unitsNumber(fromTenThousandths(sale.units)),
    balance: sale === null ? null : unitsNumber(sale.balance),
  };
}
