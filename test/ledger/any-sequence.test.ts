import assert from 'node:assert/strict';
import { isDomainError } from '../../src/errors.js';
import { ensureAccounts, systemAccount } from '../../src/ledger/accounts.js';
import { watchLedger } from '../../src/ledger/audit.js';
import { charge } from '../../src/ledger/charge.js';
import { post } from '../../src/ledger/entries.js';
import { formatAmount, fromTenThousandths, parseAmount } from '../../src/ledger/money.js';
import { reverse } from '../../src/ledger/reversal.js';
import { sell } from '../../src/ledger/sale.js';
import { allocate, toSuspense } from '../../src/ledger/suspense.js';
import { createTariff } from '../../src/ledger/tariffs.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { keepPayment, openBooks } from './books.js';
import { chanceOf, type Chance } from './chance.js';

const operator = { name: 'ada' };
const meters = ['METER001', 'METER002', 'METER003'] as const;
const dayMs = 86_400_000;

/** What was done, as seen from outside: the truth that the books must tell. All in 1e-8. */
interface Told {
  readonly payments: Map<string, { amount: bigint; outcome: 'accepted' | 'suspense'; id: string }>;
  readonly reversed: Set<string>;
  readonly allocated: Set<string>;
  consumed: bigint;
  charged: bigint;
  /** Unix ms; moves on by itself. */
  clock: number;
}

describe('any sequence of payments, consumption, reversals, allocations, charges and tariffs', () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    it(`makes and loses neither money nor energy (seed ${seed})`, async () => {
      const test = await createTestDatabase();
      try {
        await openBooks(test.database, ...meters);
        const chance = chanceOf(seed);
        const told: Told = {
          payments: new Map(),
          reversed: new Set(),
          allocated: new Set(),
          consumed: 0n,
          charged: 0n,
          clock: Date.UTC(2030, 0, 1),
        };
        for (let round = 0; round < 40; round++) {
          told.clock += chance.whole(0, 6 * dayMs);
          const steps = Array.from({ length: chance.whole(1, 6) }, () => anyStep(chance, test, told));
          await Promise.all(steps);
          await assertBooks(test, told);
        }
        const audit = watchLedger(test.database);
        assert.deepEqual((await audit.run()).found, []);
        await audit.close();
        assert.ok(told.reversed.size > 0 && told.allocated.size > 0 && told.payments.size > 50);
      } finally {
        await test.drop();
      }
    });
  }
});

/** Begins one step; all of a round are under way at once. */
function anyStep(chance: Chance, test: TestDatabase, told: Told): Promise<void> {
  const kind = chance.whole(1, 100);
  if (kind <= 45) return pay(chance, test, told);
  if (kind <= 55) return suspend(chance, test, told);
  if (kind <= 65) return allocateOne(chance, test, told);
  if (kind <= 75) return reverseOne(chance, test, told);
  if (kind <= 80) return chargeOne(chance, test, told);
  if (kind <= 95) return consume(chance, test, told);
  return changeTariff(chance, test, told);
}

async function pay(chance: Chance, { database }: TestDatabase, told: Told): Promise<void> {
  const amount = anyMoney(chance);
  const receipt = nextReceipt(told);
  const meterId = chance.pick(meters);
  const now = new Date(told.clock);
  const paidAt = new Date(told.clock - chance.whole(-1, 9) * dayMs);
  await database.transaction(async (tx) => {
    const paymentId = await keepPayment(tx, amount, 'accepted', receipt);
    told.payments.set(receipt, { amount, outcome: 'accepted', id: paymentId });
    const sale = await sell(tx, { paymentId, meterId, amount, paidAt, caller: 'test' }, now);
    assert.equal(
      sale.creditBefore + amount,
      sale.paymentFee + sale.arrearsPaid + sale.energyCost + sale.creditAfter,
    );
  });
}

async function suspend(chance: Chance, { database }: TestDatabase, told: Told): Promise<void> {
  const amount = anyMoney(chance);
  const receipt = nextReceipt(told);
  await database.transaction(async (tx) => {
    const paymentId = await keepPayment(tx, amount, 'suspense', receipt);
    told.payments.set(receipt, { amount, outcome: 'suspense', id: paymentId });
    await toSuspense(tx, { paymentId, amount, paidAt: null, caller: 'test' });
  });
}

async function allocateOne(chance: Chance, { database }: TestDatabase, told: Told): Promise<void> {
  const kept = [...told.payments].filter(([, { outcome, id }]) => outcome === 'suspense' && id !== '');
  const [first, ...rest] = kept;
  if (first === undefined) return;
  const [receipt, { id }] = chance.pick([first, ...rest]);
  const done = await refusedOr(allocate(database, id, chance.pick(meters), operator));
  if (!done) return;
  assert.ok(!told.allocated.has(receipt), 'it was allocated twice');
  told.allocated.add(receipt);
}

async function reverseOne(chance: Chance, { database }: TestDatabase, told: Told): Promise<void> {
  const [first, ...rest] = told.payments.keys();
  if (first === undefined) return;
  const receipt = chance.pick([first, ...rest]);
  const done = await refusedOr(reverse(database, receipt, operator));
  if (!done) return;
  assert.ok(!told.reversed.has(receipt), 'it was reversed twice');
  told.reversed.add(receipt);
}

async function chargeOne(chance: Chance, { database }: TestDatabase, told: Told): Promise<void> {
  const amount = anyMoney(chance);
  told.charged += amount;
  const request = { meterNumber: chance.pick(meters), amount: formatAmount(amount), memo: 'a seal' };
  await charge(database, request, operator);
}

/** As a batch of reports enters it: some meters, several reports each. */
async function consume(chance: Chance, { database }: TestDatabase, told: Told): Promise<void> {
  const reports = Array.from({ length: chance.whole(1, 5) }, () => ({
    meterId: chance.pick(meters),
    amount: fromTenThousandths(chance.whole(1, 200_000)),
  }));
  const total = reports.reduce((sum, { amount }) => sum + amount, 0n);
  told.consumed += total;
  await database.transaction(async (tx) => {
    const named = [...new Set(reports.map(({ meterId }) => meterId))];
    await ensureAccounts(tx, named, null);
    const { rows } = await tx.query<{ id: string; meter_id: string }>({
      text: `select id, meter_id from accounts where meter_id = any($1) and kind = 'units' order by id for update`,
      values: [named],
    });
    const unitsOf = (wanted: string) => rows.find(({ meter_id }) => meter_id === wanted)?.id ?? '';
    await post(tx, {
      kind: 'consumption',
      caller: 'meter',
      entries: [
        ...reports.map(({ meterId, amount }) => ({ accountId: unitsOf(meterId), amount: -amount })),
        { accountId: await systemAccount(tx, 'consumed'), amount: total },
      ],
    });
  });
}

async function changeTariff(chance: Chance, { database }: TestDatabase, told: Told): Promise<void> {
  const now = new Date(told.clock);
  await refusedOr(
    createTariff(
      database,
      {
        plan: 'default',
        valid_from: told.clock + chance.whole(0, 3) * dayMs,
        payment_fee: chance.whole(0, 1_000) / 100,
        monthly_fee: chance.pick([0, chance.whole(0, 20_000) / 100]),
        arrears_share: chance.whole(0, 100) / 100,
        blocks: [
          { from: 0, price: chance.whole(100, 3_000) / 100 },
          { from: chance.whole(1, 200) / 4, price: chance.whole(10_000, 900_000) / 10_000 },
        ],
      },
      operator,
      now,
    ),
  );
}

async function assertBooks({ database }: TestDatabase, told: Told): Promise<void> {
  const { rows } = await database.query<{
    kind: string;
    cached: string;
    sum: string;
    least: string;
    most: string;
  }>({
    text: `select a.kind, sum(a.balance)::text as cached, sum(coalesce(e.sum, 0))::text as sum,
                  min(coalesce(e.sum, 0))::text as least, max(coalesce(e.sum, 0))::text as most
             from accounts a
             left join (select account_id, sum(amount) as sum from ledger_entries group by 1) e on e.account_id = a.id
            group by a.kind`,
  });
  const found = new Map(rows.map((row) => [row.kind, row]));
  const of = (kind: string, what: 'sum' | 'cached' | 'least' | 'most' = 'sum') =>
    parseAmount(found.get(kind)?.[what] ?? '0');
  assert.equal(of('units') + of('issued') + of('consumed'), 0n, 'energy');
  const money = ['credit', 'arrears', 'provider', 'revenue', 'fees', 'suspense'].map((kind) => of(kind));
  assert.equal(
    money.reduce((sum, amount) => sum + amount, 0n),
    0n,
    'money',
  );
  for (const kind of ['units', 'credit', 'arrears'])
    assert.equal(of(kind, 'cached'), of(kind), `cache of ${kind}`);
  assert.ok(of('credit', 'least') >= 0n, 'a remainder below zero');
  assert.ok(of('arrears', 'most') <= 0n, 'arrears above zero');
  const live = [...told.payments].filter(([receipt]) => !told.reversed.has(receipt));
  assert.equal(-of('provider'), sumOf(live), 'what customers paid');
  const waiting = live.filter(
    ([receipt, { outcome }]) => outcome === 'suspense' && !told.allocated.has(receipt),
  );
  assert.equal(of('suspense'), sumOf(waiting), 'what waits for a meter');
  assert.equal(of('consumed'), told.consumed, 'what was used');
  await assertSales(database, -of('issued'), of('revenue') - told.charged);
}

async function assertSales(
  database: TestDatabase['database'],
  issued: bigint,
  earned: bigint,
): Promise<void> {
  const { rows } = await database.query<{ units: string; cost: string; wrong: string; months: string }>({
    text: `select coalesce(sum(s.units), 0)::text as units, coalesce(sum(s.energy_cost), 0)::text as cost,
                  count(*) filter (where s.credit_before + case p.outcome when 'reversal' then -p.amount else p.amount end
                    <> s.energy_cost + s.payment_fee + s.arrears_paid + s.credit_after)::text as wrong,
                  (select count(*) from (select from sales group by meter_id, month having sum(units) < 0) m)::text as months
             from sales s join payments p on p.id = s.payment_id`,
  });
  const [found] = rows;
  assert.equal(parseAmount(found?.units ?? ''), issued, 'what was sold');
  assert.equal(parseAmount(found?.cost ?? ''), earned, 'what it cost');
  assert.equal(found?.wrong, '0', 'sales whose parts are not their money');
  assert.equal(found?.months, '0', 'months in which less than nothing was sold');
}

/** @returns false when somebody else was faster, or it was done before */
async function refusedOr(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (isDomainError(error) && /^(PAYMENT_|TARIFF_EXISTS)/.test(error.code)) return false;
    throw error;
  }
}

function sumOf(payments: readonly (readonly [string, { amount: bigint }])[]): bigint {
  return payments.reduce((sum, [, { amount }]) => sum + amount, 0n);
}

function anyMoney(chance: Chance): bigint {
  return BigInt(chance.pick([chance.whole(1, 300), chance.whole(1_000, 200_000)])) * 1_000_000n;
}

let receipts = 0;

/** Known before it is committed, so that others can try it. */
function nextReceipt(told: Told): string {
  const receipt = `ANY${++receipts}`;
  told.payments.set(receipt, { amount: 0n, outcome: 'accepted', id: '' });
  return receipt;
}
