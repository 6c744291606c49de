import assert from 'node:assert/strict';
import { createConsumption } from '../../src/balances/consumption.js';
import { openDatabase, type Database } from '../../src/database/database.js';
import { watchLedger } from '../../src/ledger/audit.js';
import { charge } from '../../src/ledger/charge.js';
import { parseAmount } from '../../src/ledger/money.js';
import { reverse } from '../../src/ledger/reversal.js';
import { sellAll } from '../../src/ledger/sale.js';
import { allocate, toSuspense } from '../../src/ledger/suspense.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { balances, keepPayment, openBooks } from './books.js';
import { chanceOf, type Chance } from './chance.js';

const operator = { name: 'ada' };
const meters = Array.from({ length: 24 }, (_, index) => `METER${100 + index}`);
const rounds = 25;

/** All that moves money or energy, from two instances, at meters that have no account yet: nobody waits in a circle. */
describe('payments, reports and operators at once, on two instances', () => {
  let test: TestDatabase;
  let other: Database;
  before(async () => {
    test = await createTestDatabase();
    other = openDatabase({ url: test.url });
    await openBooks(test.database, ...meters);
  });
  after(async () => {
    await other.close();
    await test.drop();
  });

  it('all come through, and the books are right', async () => {
    const paid: string[] = [];
    await Promise.all(
      [test.database, other].flatMap((database, instance) => [
        payments(database, chanceOf(10 + instance), paid),
        payments(database, chanceOf(20 + instance), paid),
        reports(database, chanceOf(30 + instance), instance),
        operators(database, chanceOf(40 + instance)),
      ]),
    );
    const held = await balances(test.database);
    assert.equal(held['consumed'], String((2 * rounds * 10 * 48) / 10_000));
    assert.equal(held['provider'], String(-25 * paid.length - rounds * 2 * 50));
    const audit = watchLedger(test.database);
    assert.deepEqual((await audit.run()).found, []);
    await audit.close();
  });
});

/** Batches of callbacks, meters in any order, some of them twice. */
async function payments(database: Database, chance: Chance, paid: string[]): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const wanted = Array.from({ length: chance.whole(1, 6) }, () => anyMeter(chance));
    await database.transaction(async (tx) => {
      const amount = parseAmount('25');
      const orders: { paymentId: string; meterId: string; amount: bigint; paidAt: null; caller: string }[] =
        [];
      for (const meterId of wanted) {
        orders.push({
          paymentId: await keepPayment(tx, amount),
          meterId,
          amount,
          paidAt: null,
          caller: 'test',
        });
      }
      await sellAll(tx, orders);
    });
    paid.push(...wanted);
  }
}

/** Ten reports of 0.0048 units at a time. */
async function reports(database: Database, chance: Chance, instance: number): Promise<void> {
  const consumption = createConsumption(database);
  const begin = Date.now() - 86_400_000 * (1 + instance);
  for (let round = 0; round < rounds; round++) {
    const batch = Array.from({ length: 10 }, (_, index) => ({
      delivery: 0,
      meter_id: anyMeter(chance),
      device_id: null,
      units: 48,
      remaining: 0,
      total: null,
      time: begin + round * 10 + index,
      received_at: Date.now(),
      topic: 'smartmeter/METER/consumption',
      qos: 1 as const,
      payload: '{}',
    }));
    const { applied } = await consumption.apply(batch, { signal: AbortSignal.timeout(20_000) });
    assert.equal(applied.length, 10);
  }
}

/** 50 in suspense and allocated, 50 more and reversed, and a charge. */
async function operators(database: Database, chance: Chance): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const amount = parseAmount('50');
    const suspend = (receipt: string) =>
      database.transaction(async (tx) => {
        const paymentId = await keepPayment(tx, amount, 'suspense', receipt);
        await toSuspense(tx, { paymentId, amount, paidAt: null, caller: 'test' });
        return paymentId;
      });
    const name = `AT${chance.whole(0, 1_000_000_000)}`;
    await allocate(database, await suspend(`${name}A`), anyMeter(chance), operator);
    await charge(database, { meterNumber: anyMeter(chance), amount: 1, memo: 'a seal' }, operator);
    await allocate(database, await suspend(`${name}B`), anyMeter(chance), operator);
    await reverse(database, `${name}B`, operator);
  }
}

function anyMeter(chance: Chance): string {
  return meters[chance.whole(0, meters.length - 1)] ?? '';
}
