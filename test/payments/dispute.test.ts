import assert from 'node:assert/strict';
import { checkPayments } from '../../src/ledger/audit-store.js';
import { reverse } from '../../src/ledger/reversal.js';
import { createAcceptance, type Acceptance } from '../../src/payments/acceptance.js';
import { parseC2bNotice } from '../../src/payments/c2b-notice.js';
import { creditDisputed, type Finding } from '../../src/payments/dispute.js';
import type { Notice } from '../../src/payments/notice.js';
import { createPaymentList } from '../../src/payments/payment-list.js';
import { parseStkResult } from '../../src/payments/stk-result.js';
import { c2bBody, openHouse, stkBody, type House } from './callbacks.js';

const signal = new AbortController().signal;
const olga = { name: 'olga' };
const finding: Finding = { meterNumber: 'METER001', reason: 'seen in the portal' };

describe('A disputed payment', () => {
  let house: House;
  let acceptance: Acceptance;
  beforeEach(async () => {
    house = await openHouse();
    acceptance = createAcceptance(house.database, { shortCode: '600638' });
  });
  afterEach(async () => {
    assert.deepEqual(await house.faults(), []);
    assert.deepEqual(await checkPayments(house.database, 0n, 1_000n), []);
    await house.drop();
  });

  const take = (notice: Notice) => acceptance.accept(notice, { signal });
  async function disputed(notice: Notice): Promise<string> {
    const { outcome, id } = await take(notice);
    assert.equal(outcome, 'disputed');
    return String(id);
  }
  const credit = (id: string, more: Partial<Finding> = {}) =>
    creditDisputed(house.database, id, { ...finding, ...more }, olga);
  const bill = (more: object = {}) => parseC2bNotice(c2bBody({ BusinessShortCode: '9', ...more }));
  const result = (checkout: string, more: object = {}) => parseStkResult(stkBody(checkout, more));
  /** The provider's answer to our question: a success without a receipt. */
  const answer = (checkout: string): Notice => ({
    ...result(checkout),
    channel: 'query',
    receipt: null,
    amount: null,
    phone: null,
    sha256: 'ab'.repeat(32),
  });
  const refused = (code: string) => (error: unknown) =>
    error instanceof Error && 'code' in error && error.code === code;

  it('is credited once, stays as it came, and is listed as credited', async () => {
    const id = await disputed(bill());
    const before = await house.rows('select * from payments where id = $1', id);
    const sale = await credit(id);
    assert.deepEqual([sale.meterId, sale.receipt, sale.units], ['METER001', 'RKTQDM7W6S', 40_000n]);
    assert.equal(await house.balance('METER001'), 4);
    await assert.rejects(credit(id), refused('PAYMENT_ALLOCATED'));
    await assert.rejects(credit(id, { meterNumber: 'METER002' }), refused('PAYMENT_ALLOCATED'));
    assert.deepEqual(await house.rows('select * from payments where id = $1', id), before);
    const list = createPaymentList(house.database);
    const { data } = await list.payments({ receipt: 'rktqdm7w6s', order: 'asc' });
    assert.deepEqual(
      data.map(({ status, channel, units }) => [status, channel, units]),
      [
        ['credited', 'c2b', null],
        ['accepted', 'operator', 4],
      ],
    );
    assert.equal((await list.payments({ status: 'disputed' })).total, 0);
    assert.equal((await list.payments({ status: 'credited' })).total, 1);
    assert.equal((await list.totals()).disputed, 0);
    assert.deepEqual(
      await house.rows(`select actor, action, subject, details->>'reason' as reason from audit_log`),
      [{ actor: 'olga', action: 'payment.dispute_credited', subject: 'RKTQDM7W6S', reason: finding.reason }],
    );
    assert.deepEqual(await house.rows(`select subject from outbox`), [{ subject: 'METER001' }]);
  });

  it('is credited to one meter, however many operators want it', async () => {
    const id = await disputed(bill());
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, at) =>
        credit(id, { meterNumber: at % 2 === 0 ? 'METER001' : 'METER002' }),
      ),
    );
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.equal((await house.balance('METER001')) + (await house.balance('METER002')), 4);
  });

  it('can be taken back afterwards; the callback that comes again changes nothing', async () => {
    const id = await disputed(bill());
    await credit(id);
    assert.equal((await take(bill({ BusinessShortCode: '600638' }))).outcome, 'duplicate');
    assert.equal((await take(bill())).outcome, 'duplicate');
    await reverse(house.database, 'RKTQDM7W6S', olga);
    assert.equal(await house.balance('METER001'), 0);
    await assert.rejects(credit(id), refused('PAYMENT_ALLOCATED'));
  });

  it('ends its prompt, so that the provider’s answer to a question credits nothing more', async () => {
    await house.prompt('ws_CO_1');
    const id = await disputed(result('ws_CO_1', { amount: 90 }));
    await credit(id);
    assert.equal(await house.balance('METER001'), 3.6);
    assert.equal((await take(answer('ws_CO_1'))).outcome, 'duplicate');
    assert.equal(await house.balance('METER001'), 3.6);
  });

  it('whose prompt was credited by asking is refused until that is taken back', async () => {
    await house.prompt('ws_CO_1');
    const id = await disputed(result('ws_CO_1', { amount: 90 }));
    assert.equal((await take(answer('ws_CO_1'))).outcome, 'accepted');
    await assert.rejects(credit(id), refused('PAYMENT_ALLOCATED'));
    await reverse(house.database, 'ws_CO_1', olga);
    await credit(id);
    assert.equal(await house.balance('METER001'), 3.6);
  });

  it('whose receipt is credited is refused: one receipt, one credit', async () => {
    assert.equal((await take(bill({ BusinessShortCode: '600638' }))).outcome, 'accepted');
    const id = await disputed(bill({ BusinessShortCode: '600638', TransAmount: '2500.00' }));
    await assert.rejects(credit(id), refused('PAYMENT_ALLOCATED'));
    assert.equal(await house.balance('METER001'), 4);
  });

  it('without receipt or amount needs the amount, and stands under its id', async () => {
    const id = await disputed(result('ws_CO_none', { receipt: '', amount: 'x' }));
    await assert.rejects(credit(id), refused('SCHEMA_INVALID'));
    assert.equal((await credit(id, { amount: 25 })).receipt, `DISPUTED-${id}`);
    assert.equal(await house.balance('METER001'), 1);
  });

  for (const [what, more, code] of [
    ['an unknown meter', { meterNumber: 'NOBODY' }, 'METER_UNKNOWN'],
    ['no reason', { reason: ' \0 ' }, 'SCHEMA_INVALID'],
    ['a reason of 201 characters', { reason: 'x'.repeat(201) }, 'SCHEMA_INVALID'],
    ['an amount of 0', { amount: 0 }, 'SCHEMA_INVALID'],
    ['parts of a cent', { amount: '1.005' }, 'SCHEMA_INVALID'],
  ] as const) {
    it(`is not credited with ${what}`, async () => {
      const id = await disputed(bill());
      await assert.rejects(credit(id, more), refused(code));
      assert.equal(await house.balance('METER001'), 0);
    });
  }

  it('must be one: accepted money, or an id of nothing, is not found', async () => {
    const { id } = await take(bill({ BusinessShortCode: '600638' }));
    for (const wrong of [String(id), '999', 'x', '9'.repeat(30)])
      await assert.rejects(credit(wrong), refused('PAYMENT_UNKNOWN'));
  });
});
