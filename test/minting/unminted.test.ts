import assert from 'node:assert/strict';
import { createUnmintedLists, type UnmintedLists } from '../../src/minting/unminted.js';
import { keepUp } from '../../src/statistics/upkeep.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const dayMs = 86_400_000;

interface Row {
  readonly id: number;
  readonly meter: string;
  readonly wallet: string | null;
  readonly units: number;
  readonly at: number;
  readonly mock: boolean;
}
type Filter = Partial<Record<'wallet_address' | 'meter_id' | 'mintable' | 'start' | 'end', string>>;

/**
 * Most days are written down, some of them changed since, some readings have a wallet of their own: the lists answer as a
 * plain look at all readings does.
 */
describe('the lists of unminted readings', () => {
  let test: TestDatabase;
  let lists: UnmintedLists;
  let plain: Row[];
  const now = Date.now();
  const ago = (days: number): string => new Date(now - days * dayMs).toISOString();

  before(async () => {
    test = await createTestDatabase();
    lists = createUnmintedLists(test.database, () => now);
    const run = (text: string) => test.database.query({ text, timeoutMs: 30_000 });
    await run(`select ensure_day_partition('meter_readings', d::date)
                 from generate_series(now() - interval '26 days', now(), '1 day') d`);
    await run(`insert into users (id, email, wallet_address)
               select lpad(n::text, 32, '0')::uuid, 'u' || n, case when n < 4 then 'w' || n end from generate_series(1, 4) n`);
    await run(`insert into devices (meter_id, type, mqtt_user, password_hash, user_id, mock)
               select 'M' || n, 'meter', 'M' || n, '', lpad((1 + n % 4)::text, 32, '0')::uuid, n = 8
                 from generate_series(1, 8) n`);
    await run(`insert into meter_readings (meter_id, user_id, wallet_address, kwh_amount, reading_timestamp, minted)
               select d.meter_id, d.user_id, case when (n + length(d.type)) % 11 = 0 then 'own' end,
                      0.0001 + n % 13 * 0.37, now() - n * interval '7 hours' - ascii(right(d.meter_id, 1)) * interval '1 minute',
                      n % 5 = 0
                 from devices d, generate_series(1, 88) n`);
    const upkeep = keepUp(test.database, { everyMs: 1e9, changesEveryMs: 1e9 });
    await upkeep.ready;
    await upkeep.stop();
    // Noted, and not written down anew.
    await run(`update meter_readings set minted = true where meter_id = 'M1' and id % 3 = 0`);
    await run(`insert into meter_readings (meter_id, user_id, kwh_amount, reading_timestamp)
               values ('M2', lpad('3', 32, '0')::uuid, 7.5, now() - interval '20 days 30 seconds')`);
    await run(
      `delete from meter_readings where meter_id = 'M3' and reading_timestamp < now() - interval '24 days'`,
    );
    const state = await test.database.query<{ sealed: number; changes: number }>({
      text: `select extract(epoch from sealed_until)::float8 * 1000 as sealed,
                    (select count(*)::int from meter_stats_changes) as changes from meter_stats_state`,
    });
    assert.ok((state.rows[0]?.sealed ?? 0) > now - 12 * dayMs && (state.rows[0]?.changes ?? 0) > 20);
    const { rows } = await test.database.query<Row>({
      text: `select r.id::float8 as id, r.meter_id as meter, coalesce(r.wallet_address, u.wallet_address) as wallet,
                    (r.kwh_amount * 10000)::float8 as units, extract(epoch from r.reading_timestamp)::float8 * 1000 as at, d.mock
               from meter_readings r join users u on u.id = r.user_id join devices d using (meter_id) where not r.minted`,
    });
    plain = rows;
    assert.ok(rows.length > 500);
  });
  after(() => test.drop());

  const mintable = (row: Row): boolean => !row.mock && row.wallet !== null;
  function wanted({ wallet_address, meter_id, start = ago(31), end = ago(-1) }: Filter): Row[] {
    return plain.filter(
      (row) =>
        row.at >= Date.parse(start) &&
        row.at < Date.parse(end) &&
        (wallet_address === undefined || row.wallet === wallet_address) &&
        (meter_id === undefined || row.meter === meter_id),
    );
  }
  const amount = (rows: readonly Row[]) => ({
    readings: rows.length,
    kwh: rows.reduce((sum, { units }) => sum + units, 0) / 10_000,
  });

  const filters: readonly Filter[] = [
    {},
    { mintable: 'all' },
    { mintable: 'false' },
    { wallet_address: 'w1' },
    { wallet_address: 'own' },
    { wallet_address: 'own', meter_id: 'M2' },
    { wallet_address: 'nobody' },
    { meter_id: 'M2' },
    { meter_id: 'M8', mintable: 'all' },
    { start: ago(21.3), end: ago(11.8) },
    { start: ago(20.4), end: ago(20.1) },
    { start: ago(3), wallet_address: 'w2' },
  ];
  for (const filter of filters) {
    it(`answer ${JSON.stringify(filter).replaceAll(/"20[^"]*"/g, '…')} as the readings do`, async () => {
      const all = wanted(filter);
      const choice = filter.mintable ?? 'true';
      const rows = all.filter((row) => choice === 'all' || mintable(row) === (choice === 'true'));
      const beside = {
        totals: amount(all.filter(mintable)),
        not_mintable: {
          mock: amount(all.filter(({ mock }) => mock)),
          no_wallet: amount(all.filter(({ mock, wallet }) => !mock && wallet === null)),
        },
      };

      const wallets = await lists.wallets({ ...filter, sort: 'wallet_address', order: 'asc', limit: '100' });
      assert.deepEqual([wallets.totals, wallets.not_mintable], [beside.totals, beside.not_mintable]);
      const names = [...new Set(rows.map(({ wallet }) => wallet))];
      assert.deepEqual([wallets.total, wallets.data.length], [names.length, names.length]);
      for (const { wallet_address, readings, kwh, meters, first_day, last_day } of wallets.data) {
        const its = rows.filter(({ wallet }) => wallet === wallet_address);
        const days = its.map(({ at }) => new Date(at).toISOString().slice(0, 10)).toSorted();
        assert.deepEqual({ readings, kwh }, amount(its), String(wallet_address));
        assert.deepEqual(
          [meters, first_day, last_day],
          [new Set(its.map(({ meter }) => meter)).size, days[0], days.at(-1)],
        );
      }

      for (const order of ['asc', 'desc'] as const) {
        const found: number[] = [];
        for (let page = 1; page === 1 || found.length < rows.length; page += 1) {
          const list = await lists.readings({ ...filter, order, limit: '60', page: String(page) });
          assert.deepEqual([list.total, list.totals], [rows.length, beside.totals]);
          assert.ok(list.data.length > 0 || rows.length === 0, `page ${page}`);
          found.push(...list.data.map(({ reading_id }) => reading_id));
        }
        const sign = order === 'asc' ? 1 : -1;
        assert.deepEqual(
          found,
          rows.toSorted((a, b) => sign * (a.at - b.at || a.id - b.id)).map(({ id }) => id),
        );
      }
    });
  }

  it('have nothing beyond their end', async () => {
    const { data, total } = await lists.readings({ page: '1000' });
    assert.deepEqual([data, total > 0], [[], true]);
    const wallets = await lists.wallets({ page: '1000' });
    assert.deepEqual([wallets.data, wallets.total > 0], [[], true]);
  });
});
