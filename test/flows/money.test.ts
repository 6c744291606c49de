import assert from 'node:assert/strict';
import { connectAsync } from 'mqtt';
import { c2bBody, receiptOf } from '../payments/callbacks.js';
import { startHouse, type House } from './house.js';

const secret = 'a-secret-of-the-test-0123456789';

interface Balance {
  readonly balance: number;
  readonly credit: number;
  readonly arrears: number;
  readonly tariff_plan: string;
}
interface Page<Row> {
  readonly data: Row[];
  readonly total: number;
}
interface Line {
  readonly kind: string;
  readonly units: number;
  readonly balance: number;
  readonly receipt: string | null;
  readonly money: { readonly paid: number; readonly tariff_plan: string | null } | null;
}

/** [H-12], [H-14], [H-15], by the provider's own callbacks. */
describe('the tab Balances and payments API', function () {
  this.timeout(150_000);
  let house: House;
  before(async () => {
    house = await startHouse({ PAYMENT_CALLBACK_SECRET: secret });
    await house.register('METER001', { drn: '09000030529' });
    await house.register('METER002');
  });
  after(() => house?.close());

  const post = async (path: string, body: object): Promise<[number, string | undefined]> => {
    const { status, body: answer } = await house.request('POST', path, body);
    return [status, answer.error?.code];
  };
  const get = async <T>(path: string): Promise<T> => (await house.request('GET', path)).body as unknown as T;
  async function pay(number: number, BillRefNumber: string, TransAmount = '100.00'): Promise<void> {
    const body = c2bBody({ TransID: receiptOf(number), BillRefNumber, TransAmount });
    const { status } = await house.request('POST', `/api/payments/c2b/confirmation/${secret}`, body);
    assert.equal(status, 200);
  }
  const balanceOf = (meter: string) => get<Balance>(`/api/meters/${meter}/balance`);
  const statementOf = (meter: string, query = '') =>
    get<Page<Line>>(`/api/meters/${meter}/statement?${query}`);

  it('shows the balance of a meter without any money as 0', async () => {
    const { balance, credit, arrears } = await balanceOf('METER001');
    assert.deepEqual([balance, credit, arrears], [0, 0, 0]);
    assert.equal((await statementOf('METER001')).total, 0);
  });

  it('sells 4 units for 100.00, and keeps the remainder for the next payment', async () => {
    await pay(1, '09000030529');
    assert.equal((await balanceOf('METER001')).balance, 4);
    await pay(2, 'METER001', '0.99');
    const { balance, credit } = await balanceOf('09000030529');
    assert.deepEqual([balance, credit], [4.0396, 0]);
    const { data } = await get<Page<{ status: string; units: number; meter_number: string }>>(
      '/api/payments?meter_id=METER001&order=asc',
    );
    assert.deepEqual(
      data.map(({ status, units, meter_number }) => [status, units, meter_number]),
      [
        ['accepted', 4, '09000030529'],
        ['accepted', 0.0396, 'METER001'],
      ],
    );
  });

  it('deducts what the meter reports, line by line, with the balance after each', async () => {
    const login = await house.register('REPORTS');
    await pay(3, 'REPORTS', '262.50');
    const meter = await connectAsync(`mqtt://127.0.0.1:${house.appliance.mqttPort}`, {
      username: login.user,
      password: login.password,
      clientId: login.user,
    });
    // The original documents' example: 10.5, and 0.0048 less.
    for (const [unitsConsumed, remainingBalance] of [
      [0.0048, 10.4952],
      [0.0048, 10.4904],
    ] as const) {
      const report = { meterNo: 'REPORTS', unitsConsumed, remainingBalance };
      await meter.publishAsync('smartmeter/REPORTS/consumption', JSON.stringify(report), { qos: 1 });
    }
    await meter.endAsync();
    const { data, total } = await statementOf('REPORTS');
    assert.deepEqual(
      data.map(({ kind, units, balance, receipt }) => [kind, units, balance, receipt]),
      [
        ['consumption', -0.0048, 10.4904, null],
        ['consumption', -0.0048, 10.4952, null],
        ['sale', 10.5, 10.5, receiptOf(3)],
      ],
    );
    assert.equal(total, 3);
    const second = await statementOf('REPORTS', 'page=2&limit=1&order=asc');
    assert.deepEqual([second.data[0]?.balance, second.total], [10.4952, 3]);
    assert.equal((await statementOf('REPORTS', 'kind=sale')).total, 1);
    assert.equal((await statementOf('REPORTS', 'end=0')).total, 0);
  });

  it('allocates suspense to one meter, however many operators want it', async () => {
    await pay(4, 'METER0O1', '50.00');
    const { data } = await get<Page<{ id: number; meter_number: string }>>('/api/admin/suspense');
    assert.deepEqual(
      data.map(({ meter_number }) => meter_number),
      ['METER0O1'],
    );
    const path = `/api/admin/suspense/${data[0]?.id}/allocate`;
    const answers = await Promise.all(
      ['METER001', 'METER002', 'METER001', 'METER002'].map((meter_number) => post(path, { meter_number })),
    );
    assert.deepEqual(answers.map(([status, code]) => `${status} ${code ?? ''}`.trim()).sort(), [
      '200',
      '409 PAYMENT_ALLOCATED',
      '409 PAYMENT_ALLOCATED',
      '409 PAYMENT_ALLOCATED',
    ]);
    const [one, two] = [await balanceOf('METER001'), await balanceOf('METER002')];
    assert.equal(one.balance + two.balance, 6.0396);
    assert.equal((await get<Page<unknown>>('/api/admin/suspense')).total, 0);
    assert.equal((await get<Page<unknown>>('/api/admin/suspense?status=allocated')).total, 1);
  });

  it('takes a payment back by new entries, once, and wants the meter told', async () => {
    const path = `/api/admin/payments/${receiptOf(1).toLowerCase()}/reverse`;
    const answers = await Promise.all([1, 2, 3].map(() => post(path, { reason: 'Paid twice' })));
    assert.deepEqual(answers.map(([status]) => String(status)).sort(), ['200', '409', '409']);
    const { data } = await statementOf('METER001', 'limit=1');
    assert.deepEqual([data[0]?.kind, data[0]?.units, data[0]?.money?.paid], ['reversal', -4, -100]);
    const reasons = await house.rows(
      `select reason from outbox where subject = 'METER001' and done_at is null`,
    );
    assert.deepEqual(reasons, [{ reason: 'reversal' }]);
    assert.deepEqual(await post(`/api/admin/payments/${receiptOf(99)}/reverse`, {}), [
      404,
      'PAYMENT_UNKNOWN',
    ]);
  });

  it('sells by the plan of the device, arrears first, and shows by which plan it sold', async () => {
    const plan = { plan: 'shops', price_per_unit: 50, payment_fee: 5, arrears_share: 0.5 };
    assert.deepEqual(await post('/api/admin/tariffs', plan), [201, undefined]);
    assert.equal((await house.request('PATCH', '/devices/METER002', { tariff_plan: 'shop' })).status, 400);
    assert.equal((await house.request('PATCH', '/devices/METER002', { tariff_plan: 'shops' })).status, 200);
    assert.deepEqual(await post('/api/admin/meters/METER002/charge', { amount: 30, memo: 'New meter' }), [
      201,
      undefined,
    ]);
    const before = await balanceOf('METER002');
    assert.deepEqual([before.arrears, before.tariff_plan], [30, 'shops']);
    // The provider's time is the plan's first version's: a plan covers what lies before it.
    await pay(5, 'METER002', '105.00');
    const after = await balanceOf('METER002');
    assert.equal(after.arrears, 0);
    // 105 − 5 fee − 30 arrears (less than the half) = 70 → 1.4 units.
    assert.equal(Math.round((after.balance - before.balance) * 10_000), 14_000);
    const { data } = await statementOf('METER002', 'limit=1');
    assert.equal(data[0]?.money?.tariff_plan, 'shops');
    const { data: versions } = await get<Page<{ plan: string; current: boolean }>>(
      '/api/admin/tariffs?plan=shops',
    );
    assert.deepEqual(
      versions.map(({ current }) => current),
      [true],
    );
  });

  it('lists prepaid meters by balance, and the low ones', async () => {
    interface Meter {
      readonly meter_id: string;
      readonly balance: number | null;
      readonly low: boolean;
    }
    const all = await get<Page<Meter>>('/api/admin/balances?sort=balance&order=desc');
    assert.deepEqual(all.data[0]?.meter_id, 'REPORTS');
    const low = await get<Page<Meter>>('/api/admin/balances?low=true');
    const truly = all.data.filter(({ balance }) => balance !== null && balance < 1);
    assert.deepEqual(
      low.data.map(({ meter_id }) => meter_id).sort(),
      truly.map(({ meter_id }) => meter_id).sort(),
    );
    assert.ok(low.data.every((meter) => meter.low));
    assert.equal((await get<Page<unknown>>('/api/admin/balances/drifts')).total, 0);
  });

  it('leaves the books in balance', async () => {
    const sums = await house.rows(`select a.commodity, sum(e.amount)::float8 as sum
                                     from ledger_entries e join accounts a on a.id = e.account_id group by 1`);
    assert.ok(sums.length === 2 && sums.every(({ sum }) => sum === 0), JSON.stringify(sums));
  });

  for (const [title, method, path, body, expected] of [
    ['the balance of nobody', 'GET', '/api/meters/NOBODY/balance', undefined, '404 METER_UNKNOWN'],
    ['the statement of nobody', 'GET', '/api/meters/a%2Fb/statement', undefined, '404 METER_UNKNOWN'],
    ['a status that is none', 'GET', '/api/payments?status=paid', undefined, '400 SCHEMA_INVALID'],
    ['an allocation to nothing', 'POST', '/api/admin/suspense/1/allocate', {}, '400 SCHEMA_INVALID'],
    ['a body that is no object', 'POST', '/api/admin/suspense/1/allocate', [], '400 SCHEMA_INVALID'],
    [
      'a payment that never was in suspense',
      'POST',
      '/api/admin/suspense/1/allocate',
      { meter_number: 'METER001' },
      '404 PAYMENT_UNKNOWN',
    ],
    [
      'an id that is no number',
      'POST',
      '/api/admin/suspense/x/allocate',
      { meter_number: 'METER001' },
      '404 PAYMENT_UNKNOWN',
    ],
    [
      'a tariff of the past',
      'POST',
      '/api/admin/tariffs',
      { plan: 'x', price_per_unit: 1, valid_from: 0 },
      '400 TARIFF_INVALID',
    ],
  ] as const) {
    it(`answers ${title} with ${expected}`, async () => {
      const answer = await house.request(method, path, body);
      assert.equal(`${answer.status} ${answer.body.error?.code}`, expected);
    });
  }
});
