import assert from 'node:assert/strict';
import { createPrepaidMeters, type PrepaidMeters } from '../../src/balances/prepaid-meters.js';
import { systemAccount } from '../../src/ledger/accounts.js';
import { post } from '../../src/ledger/entries.js';
import { fromTenThousandths } from '../../src/ledger/money.js';
import { openBooks } from '../ledger/books.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { credit } from './meters.js';

const minuteMs = 60_000;

describe('prepaid meters at a glance', () => {
  let test: TestDatabase;
  let meters: PrepaidMeters;
  beforeEach(async () => {
    test = await createTestDatabase();
    await openBooks(test.database, 'FULL', 'LOW', 'NEW');
    await credit(test.database, 'FULL', 10);
    await credit(test.database, 'LOW', 0.5);
    meters = createPrepaidMeters(test.database, { lowUnits: 1 });
  });
  afterEach(() => test.drop());

  const query = (text: string, ...values: unknown[]) => test.database.query({ text, values });

  /** @param reports [minutes ago, ten-thousandths of a unit], in the order of arrival */
  async function consume(meter_id: string, reports: readonly (readonly [number, number])[]): Promise<void> {
    await test.database.transaction(async (tx) => {
      const { rows } = await tx.query<{ id: string }>({
        text: `select id from accounts where meter_id = $1 and kind = 'units' for no key update`,
        values: [meter_id],
      });
      const accountId = rows[0]?.id ?? '';
      const consumed = await systemAccount(tx, 'consumed');
      const entries = reports.map(([minutes, units]) => ({
        accountId,
        amount: -fromTenThousandths(units),
        occurredAt: new Date(Date.now() - minutes * minuteMs),
      }));
      const sum = reports.reduce((all, [, units]) => all + units, 0);
      entries.push({ accountId: consumed, amount: fromTenThousandths(sum), occurredAt: new Date() });
      await post(tx, { kind: 'consumption', caller: 'test', entries });
    });
  }

  it('lists balances, which are low, and which never were', async () => {
    const { data, total } = await meters.list();
    assert.deepEqual(
      data.map(({ meter_id, balance, low, relay, command }) => [meter_id, balance, low, relay, command]),
      [
        ['FULL', 10, false, null, 'waiting'],
        ['LOW', 0.5, true, null, 'waiting'],
        ['NEW', null, false, null, null],
      ],
    );
    assert.equal(total, 3);
  });

  it('finds by low balance, by a part of the name, and by the whole drn', async () => {
    await query(`update devices set drn = '09000030529', name = 'Posho mill' where meter_id = 'NEW'`);
    const ids = async (wanted: object) =>
      (await meters.list({ ...wanted })).data.map(({ meter_id }) => meter_id);
    assert.deepEqual(await ids({ low: 'true' }), ['LOW']);
    assert.deepEqual(await ids({ search: 'mill' }), ['NEW']);
    assert.deepEqual(await ids({ search: '09000030529' }), ['NEW']);
    assert.deepEqual(await ids({ search: '0900003' }), []);
    assert.deepEqual(await ids({ search: '%' }), [], 'nothing of it is a pattern');
    assert.deepEqual(await ids({ sort: 'balance', order: 'desc', limit: 1 }), ['FULL']);
    assert.equal((await meters.get('09000030529')).meter_id, 'NEW');
    await assert.rejects(meters.get('NOBODY'), { code: 'METER_UNKNOWN' });
    await assert.rejects(meters.list({ low: 'perhaps' }), { code: 'SCHEMA_INVALID' });
  });

  it('goes by the last word of the meter for its relay, whichever message it was [P-7]', async () => {
    await query(
      `update devices set last_status = '{"status": "online", "balance": 10, "wifi_rssi": -65}',
              last_status_at = now() - interval '3 minutes' where meter_id = 'FULL'`,
    );
    const relay = async () => {
      const { relay: found, meter_balance } = await meters.get('FULL');
      return [found, meter_balance];
    };
    assert.deepEqual(await relay(), ['on', 10]);
    await query(
      `insert into consumption_reports (meter_id, identity, units, remaining, received_at, balance)
       values ('FULL', 't:1', 10, 0, now() - interval '2 minutes', 0)`,
    );
    assert.deepEqual(await relay(), ['off', 0]);
    await query(
      `insert into balance_commands (meter_id, last_timestamp, confirmed_balance, confirmed_at)
       values ('FULL', 1, 4, now())`,
    );
    assert.deepEqual(await relay(), ['on', 4]);
    // What is no number is not believed.
    await query(
      `update devices set last_status = '{"balance": "none"}', last_status_at = now() where meter_id = 'FULL'`,
    );
    assert.deepEqual(await relay(), ['on', 4]);
  });

  it('follows a balance on its way to the meter', async () => {
    const command = async () => {
      const { command: found, command_attempts } = await meters.get('FULL');
      return [found, command_attempts];
    };
    assert.deepEqual(await command(), ['waiting', 0]);
    await query(`update outbox set sent_at = now(), attempts = 2 where subject = 'FULL'`);
    assert.deepEqual(await command(), ['sent', 2]);
    await query(`update outbox set done_at = now(), outcome = 'confirmed' where subject = 'FULL'`);
    await query(
      `insert into balance_commands (meter_id, last_timestamp, confirmed_at) values ('FULL', 1, now())`,
    );
    assert.deepEqual(await command(), ['confirmed', 0]);
  });

  it('draws the balance by the times of the meter, also of what came late and out of order', async () => {
    await consume('FULL', [
      [2, 10_000],
      [50, 20_000],
      [30, 5_000],
    ]);
    const points = await meters.history('FULL', { hours: 1 });
    // The credit of just now is the last: before it the meter was in debt.
    assert.deepEqual(
      points.map(({ balance }) => balance),
      [0, -2, -2.5, -3.5, 6.5],
    );
    assert.deepEqual(
      (await meters.history('FULL', { hours: 0.6 })).map(({ balance }) => balance),
      [-2, -2.5, -3.5, 6.5],
    );
    assert.deepEqual(await meters.history('NEW'), []);
    await assert.rejects(meters.history('FULL', { hours: 'many' }), { code: 'SCHEMA_INVALID' });
  });

  it('draws no more points than a screen can show, and ends where the ledger is', async () => {
    await consume(
      'FULL',
      Array.from({ length: 1_500 }, (_, index) => [1_500 - index, 1] as const),
    );
    const points = await meters.history('FULL', { hours: 24 });
    assert.ok(points.length > 300 && points.length <= 402, `${points.length} points`);
    assert.equal(points.at(-1)?.balance, 10 - 0.15);
  });

  it('lists the episodes of drift, and counts what needs somebody', async () => {
    await query(
      `insert into balance_drifts (meter_id, ledger_balance, meter_balance, resolved_at)
       values ('FULL', 10, 12.5, null), ('LOW', 0.5, 0, now())`,
    );
    const open = await meters.drifts({ open: true });
    assert.deepEqual(
      open.data.map(({ meter_id, ledger_balance, meter_balance }) => [
        meter_id,
        ledger_balance,
        meter_balance,
      ]),
      [['FULL', 10, 12.5]],
    );
    assert.equal((await meters.drifts()).total, 2);
    assert.equal((await meters.drifts({ meter_id: 'LOW', open: 'false' })).total, 1);
    assert.deepEqual(await meters.totals(), { prepaid: 2, low: 1, commands_open: 2, drifts_open: 1 });
  });
});
