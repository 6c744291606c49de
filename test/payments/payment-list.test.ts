import assert from 'node:assert/strict';
import { reverse } from '../../src/ledger/reversal.js';
import { allocate } from '../../src/ledger/suspense.js';
import { createAcceptance, type Acceptance } from '../../src/payments/acceptance.js';
import { parseC2bNotice } from '../../src/payments/c2b-notice.js';
import { createPaymentList, type PaymentList } from '../../src/payments/payment-list.js';
import { parseStkResult } from '../../src/payments/stk-result.js';
import { c2bBody, openHouse, receiptOf, stkBody, type House } from './callbacks.js';

const { signal } = new AbortController();
const operator = { name: 'ada' };

describe('the list of payments [H-12]', () => {
  let house: House;
  let acceptance: Acceptance;
  let list: PaymentList;
  before(async () => {
    house = await openHouse();
    acceptance = createAcceptance(house.database, { shortCode: null });
    list = createPaymentList(house.database);
    // By number: 1 accepted, 2 for a DRN, 3 and 4 in suspense, 5 taken back.
    for (const [number, account] of [
      [1, 'METER001'],
      [2, '09000030529'],
      [3, 'METER0O1'],
      [4, 'nobody'],
      [5, 'METER002'],
    ] as const)
      await pay(number, account);
    const [waiting] = await house.rows<{ id: string }>(
      `select id from payments where receipt = $1`,
      receiptOf(3),
    );
    await allocate(house.database, waiting?.id ?? '', 'METER002', operator);
    await reverse(house.database, receiptOf(5), operator, 'paid twice');
    await house.prompt('ws_CO_open');
    await house.prompt('ws_CO_failed');
    await house.prompt('ws_CO_gone', { state: 'expired' });
    await acceptance.accept(parseStkResult(stkBody('ws_CO_failed', { code: 1032 })), { signal });
  });
  after(() => house.drop());

  const pay = (number: number, BillRefNumber: string) =>
    acceptance.accept(parseC2bNotice(c2bBody({ TransID: receiptOf(number), BillRefNumber })), { signal });
  const statuses = async (query: Record<string, unknown>): Promise<string[]> => {
    const { data, total } = await list.payments(query);
    assert.equal(total, data.length);
    return data.map(({ status }) => status);
  };

  it('shows what became of each, prompts without a payment among them', async () => {
    assert.deepEqual((await statuses({})).toSorted(), [
      'accepted',
      'accepted',
      'allocated',
      'expired',
      'failed',
      'open',
      'reversal',
      'reversed',
      'suspense',
    ]);
  });

  it('says which meter got the money, what the payer had written, and what it bought', async () => {
    const { data } = await list.payments({ receipt: receiptOf(2).toLowerCase() });
    assert.deepEqual(
      data.map((row) => [row.meter_number, row.meter_id, row.amount, row.units, row.currency, row.channel]),
      [['09000030529', 'METER001', 100, 4, 'KES', 'c2b']],
    );
  });

  it('shows an account the money and the prompts of its own meters only [S-4]', async () => {
    const [owner] = await house.rows<{ id: string }>(
      `insert into users (email, role) values ('p1', 'prosumer') returning id::text`,
    );
    const [other] = await house.rows<{ id: string }>(
      `insert into users (email, role) values ('p2', 'prosumer') returning id::text`,
    );
    await house.rows(`update devices set user_id = $1::uuid where meter_id = 'METER002'`, owner?.id);
    const of = async (id = '', query = {}): Promise<(string | null)[]> => {
      const { data, total } = await list.payments(query, id);
      assert.equal(total, data.length);
      return data.map(({ status, receipt, meter_id }) => `${status} ${receipt} ${meter_id}`).toSorted();
    };
    const allocated = `allocated ${receiptOf(3)} METER002`;
    const mine = await of(owner?.id);
    assert.equal(mine.length, 3);
    assert.equal(mine[0], allocated);
    assert.ok(mine.every((row) => row?.endsWith('METER002')));
    assert.deepEqual(await of(owner?.id, { status: 'allocated' }), [allocated]);
    assert.deepEqual(await of(owner?.id, { meter_id: 'METER001' }), []);
    assert.deepEqual(await of(owner?.id, { receipt: receiptOf(1) }), []);
    await house.rows(`update devices set user_id = $1::uuid where meter_id = 'METER001'`, other?.id);
    const theirs = await of(other?.id, { status: 'open,failed,expired,accepted' });
    assert.equal(theirs.length, 5);
    assert.ok(theirs.every((row) => row?.endsWith('METER001')));
    await house.rows(`update devices set user_id = null`);
  });

  it('finds a payment by the receipt that came later than its credit', async () => {
    const [credited] = await house.rows<{ id: string }>(
      `select id from payments where receipt = $1`,
      receiptOf(1),
    );
    const later = { payment_id: credited?.id, state: 'succeeded', receipt: 'LATE00001' };
    await house.prompt('ws_CO_asked', later);
    const { data, total } = await list.payments({ receipt: 'late00001' });
    assert.deepEqual([data[0]?.receipt, total], [receiptOf(1), 1]);
  });

  for (const [title, query, expected] of [
    ['one status', { status: 'suspense' }, ['suspense']],
    ['several', { status: 'open, expired' }, ['expired', 'open']],
    ['several as express gives them', { status: ['reversed', 'reversal'] }, ['reversal', 'reversed']],
    [
      'the meter that was credited, also by an operator',
      { meter_id: 'METER002' },
      ['allocated', 'reversal', 'reversed'],
    ],
    ['a meter and a status', { meter_id: 'METER001', status: 'open' }, ['open']],
    ['the channel', { channel: 'operator' }, ['reversal']],
    ['a time that nothing has', { end: 0 }, []],
    ['an empty text, which is no filter', { status: '', channel: 'operator' }, ['reversal']],
  ] as const) {
    it(`filters by ${title}`, async () => assert.deepEqual((await statuses(query)).toSorted(), expected));
  }

  it('pages through both halves in the order of time', async () => {
    const all = (await list.payments({ order: 'asc' })).data;
    const pages = [];
    for (const page of [1, 2, 3]) pages.push(...(await list.payments({ order: 'asc', page, limit: 4 })).data);
    assert.deepEqual(pages, all);
    const times = all.map(({ received_at }) => received_at);
    assert.deepEqual(times, times.toSorted());
  });

  it('shows in suspense what still waits, unless asked for the rest [H-15]', async () => {
    const receipts = async (query: object) =>
      (await list.suspense({ ...query })).data.map(({ receipt }) => receipt);
    assert.deepEqual(await receipts({}), [receiptOf(4)]);
    assert.deepEqual(await receipts({ status: 'allocated' }), [receiptOf(3)]);
    assert.deepEqual(await receipts({ status: 'suspense,allocated', order: 'asc' }), [
      receiptOf(3),
      receiptOf(4),
    ]);
  });

  it('sums what came and what waits', async () => {
    assert.deepEqual(await list.totals(), {
      day: [{ currency: 'KES', payments: 3, amount: 300 }],
      suspense: [{ currency: 'KES', payments: 1, amount: 100 }],
      disputed: 0,
      prompts_open: 1,
    });
  });

  for (const query of [{ status: 'paid' }, { channel: 'cash' }, { page: 0 }, { start: 'noon' }]) {
    it(`refuses ${JSON.stringify(query)}, naming the field`, async () => {
      const [field] = Object.keys(query);
      await assert.rejects(list.payments(query), (error: { code?: string; details?: { path: string }[] }) => {
        assert.deepEqual([error.code, error.details?.[0]?.path], ['SCHEMA_INVALID', `/${field}`]);
        return true;
      });
    });
  }
});
