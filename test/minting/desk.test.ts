import assert from 'node:assert/strict';
import { createMinting } from '../../src/minting/minting.js';
import { findReading } from '../../src/minting/reading-store.js';
import { createUnmintedLists } from '../../src/minting/unminted.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { addReadings, fill, owner, wallet } from './house.js';

const caller = { name: 'test', address: null };

describe('the desk of the minting hand-off', () => {
  let test: TestDatabase;
  beforeEach(async () => {
    test = await createTestDatabase();
  });
  afterEach(() => test.drop());

  const minting = () => createMinting(test.database, { isSetUp: true, deadlineMs: 1000 });

  for (const days of [0, 9, 45, 200, 430]) {
    it(`finds a reading of ${days} days ago by its id`, async () => {
      await fill(test.database, 0);
      const [id = 0, second] = await addReadings(test.database, 2, 'METER001', owner, days);
      const found = await findReading(test.database, String(id), Date.now());
      assert.deepEqual([found?.id, found?.meter_id, found?.wallet_address], [String(id), 'METER001', wallet]);
      assert.notEqual(id, second);
    });
  }

  it('looks at a month of partitions at the most with one statement', async () => {
    await addReadings(test.database, 1, 'METER001', null, 120);
    const seen: number[] = [];
    const watched = {
      query: async <R extends object>(statement: { text: string; values?: readonly unknown[] }) => {
        const { rows } = await test.database.query<{ 'QUERY PLAN': string }>({
          ...statement,
          text: `explain ${statement.text}`,
        });
        const plan = rows.map((row) => row['QUERY PLAN']).join(' ');
        seen.push(new Set(plan.match(/meter_readings_\d{8}/g)).size);
        return test.database.query<R>(statement);
      },
    };
    assert.equal(await findReading(watched, '999999999', Date.now()), undefined);
    assert.ok(Math.max(...seen) <= 33, String(seen));
    assert.ok(seen.reduce((all, one) => all + one, 0) >= 120, String(seen));
  });

  it('answers with the signature of a reading that was minted without us', async () => {
    const [id] = await fill(test.database, 1);
    await test.database.query({
      text: `update meter_readings set minted = true, mint_tx_signature = 'theirs'`,
    });
    assert.deepEqual(await minting().request({ reading_id: id }, caller), {
      reading_id: id,
      state: 'minted',
      tx_signature: 'theirs',
      request: null,
    });
  });

  it('keeps the mint of a reading that was deleted and stored anew', async () => {
    const [id] = await fill(test.database, 1);
    await minting().request({ reading_id: id }, caller);
    await test.database.query({ text: `update mint_requests set state = 'minted', tx_signature = 'first'` });
    const { rows } = await test.database.query<{ id: number }>({
      text: `with gone as (delete from meter_readings returning meter_id, user_id, kwh_amount, reading_timestamp)
             select 1 as id from gone`,
    });
    assert.equal(rows.length, 1);
    await test.database.query({
      text: `insert into meter_readings (meter_id, user_id, kwh_amount, reading_timestamp)
             select meter_id, user_id, kwh_amount, reading_timestamp from mint_requests`,
    });
    const again = await test.database.query<{ id: number }>({
      text: 'select id::float8 as id from meter_readings',
    });
    assert.notEqual(again.rows[0]?.id, id);
    const answer = await minting().request({ reading_id: again.rows[0]?.id }, caller);
    assert.deepEqual([answer.state, answer.tx_signature], ['minted', 'first']);
    const { rows: marked } = await test.database.query<{ minted: boolean; mint_tx_signature: string }>({
      text: 'select minted, mint_tx_signature from meter_readings',
    });
    assert.deepEqual(marked, [{ minted: true, mint_tx_signature: 'first' }]);
  });

  const wrong: readonly (readonly [body: unknown, code: string])[] = [
    [{}, 'SCHEMA_INVALID'],
    [null, 'SCHEMA_INVALID'],
    [{ reading_id: 0 }, 'SCHEMA_INVALID'],
    [{ reading_id: 1.5 }, 'SCHEMA_INVALID'],
    [{ reading_id: '9'.repeat(20) }, 'SCHEMA_INVALID'],
    [{ reading_id: 1, again: 'yes' }, 'SCHEMA_INVALID'],
    [{ reading_id: 12345 }, 'READING_UNKNOWN'],
  ];
  for (const [body, code] of wrong) {
    it(`answers ${JSON.stringify(body)} with ${code}`, async () => {
      await assert.rejects(minting().request(body, caller), { code });
    });
  }

  it('finds what a wallet has to come: of its owners, and of readings with a wallet of their own', async () => {
    await fill(test.database, 2);
    await addReadings(test.database, 1, 'OTHER', null);
    await test.database.query({
      text: `update meter_readings set wallet_address = $1 where meter_id = 'OTHER'`,
      values: [wallet],
    });
    await addReadings(test.database, 1, 'NOBODY', null);
    // Long ago, and not asked for.
    await addReadings(test.database, 4, 'METER001', owner, 60);
    const lists = createUnmintedLists(test.database);
    const of = await lists.readings({ wallet_address: wallet });
    assert.deepEqual([of.total, of.totals], [3, { readings: 3, kwh: 3.75 }]);
    const all = await lists.readings({ mintable: 'all', start: new Date(Date.now() - 80 * 86_400_000) });
    assert.deepEqual([all.total, all.not_mintable.no_wallet.readings], [8, 1]);
    const { data, total } = await lists.wallets({ mintable: 'all', order: 'asc', sort: 'readings' });
    assert.deepEqual(
      data.map(({ wallet_address, readings, meters, kwh }) => [wallet_address, readings, meters, kwh]),
      [
        [null, 1, 1, 1.25],
        [wallet, 3, 2, 3.75],
      ],
    );
    assert.equal(total, 2);
    await assert.rejects(lists.readings({ mintable: 'perhaps' }), { code: 'SCHEMA_INVALID' });
    await assert.rejects(lists.readings({ start: '2020-01-01T00:00:00Z', end: Date.now() }), {
      code: 'SCHEMA_INVALID',
    });
  });
});
