import assert from 'node:assert/strict';
import { claimCommands, releaseCommands } from '../../src/balances/command-store.js';
import { confirmCommands } from '../../src/balances/confirmations.js';
import { createConsumption, type Consumption } from '../../src/balances/consumption.js';
import type { ConsumptionReport } from '../../src/balances/report.js';
import type { Drift } from '../../src/balances/drift.js';
import { wantCommands } from '../../src/balances/wanted-commands.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { credit, one, report } from './meters.js';

const wait = { signal: new AbortController().signal };
const minute = 60_000;

describe('A meter that disagrees with the ledger', () => {
  let test: TestDatabase;
  let consumption: Consumption;
  let drifts: Drift[] = [];
  let meter: string;
  let meters = 0;
  /** The meter's clock and ours. */
  let now: number;
  /** What comes from a meter comes in order; Unix ms. */
  let arrived = Date.now();
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());
  beforeEach(async () => {
    await test.database.query({
      text: `update outbox set done_at = now(), outcome = 'cancelled' where done_at is null`,
    });
    drifts = [];
    now = Date.now();
    meters += 1;
    meter = `METER-${meters}`;
    consumption = createConsumption(test.database, {
      driftUnits: 5_000,
      now: () => now,
      onDrift: (found) => drifts.push(...found),
    });
  });

  /** It says that it used 0.0048 and has so much left, in units. */
  async function says(left: number, more: Partial<ConsumptionReport> = {}): Promise<void> {
    now += 1;
    const remaining = Math.round(left * 10_000);
    const said = { remaining, total: 1, time: now, received_at: ++arrived, ...more };
    await consumption.apply([report(meter, said)], wait);
  }

  /** The meter hears of its balance, and says so. */
  async function told(
    when: 'now' | 'later' = 'now',
    beforeItSaysSo = async () => {},
  ): Promise<{ balance: number; timestamp: number }> {
    const clock = now;
    if (when === 'later')
      await test.database.query({ text: `update outbox set next_at = now() where done_at is null` });
    const [command] = await claimCommands(test.database, {
      most: 1,
      instance: 'test',
      now: clock,
      backoff: { firstMs: 600_000, mostMs: 600_000 },
    });
    assert.equal(command?.meter_id, meter);
    const { balance, timestamp } = command;
    await releaseCommands(test.database, [command.id], 'test');
    await beforeItSaysSo();
    await confirmCommands(test.database, [
      { meter_id: meter, balance: Math.round(Number(balance) * 10_000), timestamp, received_at: ++arrived },
    ]);
    return { balance: Number(balance), timestamp };
  }

  async function claimable(): Promise<number> {
    const { rows } = await test.database.query({
      text: `select from outbox where done_at is null and next_at <= now()`,
    });
    return rows.length;
  }

  async function paid(units: number): Promise<void> {
    await credit(test.database, meter, units);
    await told();
    now += 2 * minute;
  }

  const wanted = async () =>
    (
      await test.database.query<{ reason: string }>({
        text: `select reason from outbox where subject = $1 and done_at is null`,
        values: [meter],
      })
    ).rows.map(({ reason }) => reason);

  it('by nothing is left alone', async () => {
    await paid(10);
    await says(9.9952);
    assert.deepEqual([drifts.length, await wanted()], [0, []]);
  });

  it('by the last digits of its float is left alone', async () => {
    await paid(10);
    await says(9.9958);
    assert.deepEqual([drifts.length, await wanted()], [0, []]);
  });

  it('by less than the threshold is told, and not reported', async () => {
    await paid(10);
    await says(9.9);
    assert.deepEqual([drifts.length, await wanted()], [0, ['off']]);
    assert.equal((await told()).balance, 9.9952);
  });

  it('by the units of a token that is on its way is no drift; afterwards it is', async () => {
    await paid(10);
    await test.database.query({
      text: `insert into token_injections (id, meter_number, meter_id, token_hash, token_last4, caller, instance, run,
                                           deadline_at, requested_at)
             values (gen_random_uuid(), $1, $1, $2, '9281', 'test', 'test', gen_random_uuid(), now() + interval '1 minute', now())`,
      values: [meter, Buffer.from(meter)],
    });
    // The meter has booked it, and its answer is not in the ledger yet.
    await says(11.9952);
    assert.deepEqual([drifts.length, await wanted()], [0, []]);
    await test.database.query({
      text: `update token_injections set status = 'unanswered', finished_at = now() where meter_id = $1`,
      values: [meter],
    });
    await says(11.9904);
    assert.deepEqual([drifts.length, await wanted()], [1, ['drift']]);
  });

  it('by more than the threshold is reported, told the true balance, and recovers [P-6]', async () => {
    await paid(10);
    await says(12);
    assert.deepEqual(drifts, [
      {
        meter_id: meter,
        ledger_balance: 9.9952,
        meter_balance: 12,
        difference: 2.0048,
        occurrences: 1,
        first_at: drifts[0]?.first_at,
      },
    ]);
    assert.deepEqual(await wanted(), ['drift']);
    assert.equal((await told()).balance, 9.9952);
    await says(11.9952);
    assert.equal(drifts[1]?.occurrences, 2, 'the same episode');
    await told();
    await says(9.9856);
    const { resolved } = await one<{ resolved: boolean }>(
      test.database,
      'select resolved_at is not null as resolved from balance_drifts where meter_id = $1',
      meter,
    );
    assert.equal(resolved, true);
    assert.equal(drifts.length, 2);
  });

  it('is told also when nobody ever paid: its own balance never overwrites the ledger', async () => {
    await says(10);
    assert.equal(drifts[0]?.ledger_balance, -0.0048);
    assert.deepEqual(await wanted(), ['drift']);
  });

  it('while a command is on its way is not judged', async () => {
    await paid(10);
    await credit(test.database, meter, 5);
    await says(9.9952);
    assert.equal(drifts.length, 0);
    assert.deepEqual(await wanted(), ['payment']);
  });

  it('because its report crossed the command is not judged, although that is confirmed by now, and told once more', async () => {
    await paid(10);
    await credit(test.database, meter, 5);
    await told();
    // Made after the command had left, sent before it arrived; it waited for its batch while the confirmation did not.
    await says(9.9952, { received_at: arrived - 1 });
    assert.deepEqual([drifts.length, await wanted()], [0, ['late']]);
    assert.equal((await told('later')).balance, 14.9952);
    await says(9.9904);
    assert.deepEqual([drifts.length, await wanted()], [1, ['drift']], 'the next one counts');
  });

  it('by what it consumed while the command was on its way, is told once more when it has confirmed that', async () => {
    await paid(10);
    await credit(test.database, meter, 5);
    // The broker had acknowledged the report: the meter takes over 15, and has 0.0048 too much.
    assert.equal((await told('now', () => says(9.9952))).balance, 15);
    assert.equal((await told()).balance, 14.9952);
    assert.deepEqual(await wanted(), []);
  });

  it('by the same, when the command said nothing new, is told once more, too', async () => {
    await paid(10);
    await wantCommands(test.database, [meter], 'replay');
    assert.equal((await told('now', () => says(9.9952))).balance, 10);
    assert.equal((await told()).balance, 9.9952);
    assert.deepEqual(await wanted(), []);
  });

  it('by what it consumed before the command, and reports now, is told once more, a little later', async () => {
    await paid(10);
    const before = now - 30_000;
    await credit(test.database, meter, 5);
    await told();
    await says(9.9952, { time: before });
    assert.deepEqual([drifts.length, await wanted()], [0, ['late']]);
    assert.equal(await claimable(), 0, 'more such reports may follow');
    assert.equal((await told('later')).balance, 14.9952);
  });

  it('by such a report while the command is not confirmed, is told once more after that', async () => {
    await paid(10);
    const before = now - 30_000;
    await credit(test.database, meter, 5);
    const meanwhile = () => says(9.9952, { time: before });
    assert.equal((await told('now', meanwhile)).balance, 15);
    assert.equal((await told('later')).balance, 14.9952);
    assert.deepEqual(await wanted(), []);
  });

  it('by exactly what it buffered while it was away is told, and not reported', async () => {
    await paid(10);
    const away = now;
    now += 48 * 60 * minute;
    // It comes back, hears of 10.0, takes that over, and sends what it had buffered: 0.6.
    await credit(test.database, meter, 1);
    await told();
    for (let n = 1; n <= 6; n += 1) await says(10 - n * 0.1, { time: away + n * minute, units: 1000 });
    assert.deepEqual([drifts.length, await wanted()], [0, ['late']]);
    assert.equal((await told('later')).balance, 10.4);
    now += 30_000;
    await says(10.3952);
    assert.deepEqual([drifts.length, await wanted()], [0, []]);
  });

  it('by what it buffered, told its balance when it came back and paid nothing, is told, and not reported', async () => {
    await paid(10);
    const away = now;
    now += 48 * 60 * minute;
    await test.database.query({ text: `select want_balance_command($1, 'connected')`, values: [meter] });
    await told();
    for (let n = 1; n <= 6; n += 1)
      await says(10 - n * 0.1, { time: away + n * minute, units: 1000, received_at: now });
    now += 30_000;
    await says(9.9952);
    assert.deepEqual([drifts.length, await wanted()], [0, ['off']]);
    assert.equal((await told()).balance, 9.3952);
    await says(9.3904);
    assert.deepEqual([drifts.length, await wanted()], [0, []]);
  });

  it('whose clock is slow but whose sums are right is left alone', async () => {
    await paid(10);
    for (let n = 1; n <= 3; n += 1) await says(10 - n * 0.0048, { time: now - 5 * minute + n });
    assert.deepEqual([drifts.length, await wanted()], [0, []]);
  });

  it('by an old report is not judged', async () => {
    await says(-0.0048);
    await says(7, { time: now - 60 * minute });
    assert.equal(drifts.length, 0);
  });

  it('without a clock is judged by its last report', async () => {
    await credit(test.database, meter, 10);
    await told();
    await says(3, { time: null });
    assert.equal(drifts[0]?.difference, -6.9952);
  });
});
