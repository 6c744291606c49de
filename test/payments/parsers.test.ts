import assert from 'node:assert/strict';
import { parseC2bNotice } from '../../src/payments/c2b-notice.js';
import { amountOf, timeOf, writtenTime } from '../../src/payments/provider-values.js';
import { parseStkResult } from '../../src/payments/stk-result.js';
import { c2bBody, paidAt, phone, stkBody } from './callbacks.js';

describe('what the provider sends [P-4]', () => {
  it('reads the documented result of a prompt by the names of its items', () => {
    // As in the provider's documentation: another order, and a Balance without a Value.
    const documented = {
      Body: {
        stkCallback: {
          MerchantRequestID: '19465-780693-1',
          CheckoutRequestID: 'ws_CO_27072017154747416',
          ResultCode: 0,
          ResultDesc: 'The service request is processed successfully.',
          CallbackMetadata: {
            Item: [
              { Name: 'Amount', Value: 1 },
              { Name: 'MpesaReceiptNumber', Value: 'LGR7OWQX0R' },
              { Name: 'Balance' },
              { Name: 'TransactionDate', Value: 20170727154800 },
              { Name: 'PhoneNumber', Value: 254721566839 },
            ],
          },
        },
      },
    };
    const { sha256, details, ...notice } = parseStkResult(documented);
    assert.deepEqual(notice, {
      channel: 'stk',
      paid: true,
      receipt: 'LGR7OWQX0R',
      amount: '1.00',
      short_code: null,
      meter_number: null,
      phone: '254721566839',
      paid_at: Date.parse('2017-07-27T12:48:00Z'),
      checkout_request_id: 'ws_CO_27072017154747416',
      result_code: '0',
      result_desc: 'The service request is processed successfully.',
      flaw: null,
    });
    assert.deepEqual(details, { body: documented });
    assert.match(sha256, /^[0-9a-f]{64}$/);
    assert.equal(parseStkResult(stkBody('x')).receipt, 'NLJ7RT61SV');
  });

  it('reads a failed result, which has no metadata, and codes as texts', () => {
    const failed = parseStkResult(stkBody('ws_CO_1', { code: 1032 }));
    assert.deepEqual(
      [failed.paid, failed.result_code, failed.receipt, failed.flaw],
      [false, '1032', null, null],
    );
    const text = parseStkResult({ Body: { stkCallback: { CheckoutRequestID: 'a', ResultCode: '0' } } });
    assert.deepEqual([text.paid, text.flaw], [true, 'RECEIPT_MISSING']);
  });

  const flawed: readonly [title: string, amount: unknown][] = [
    ['parts of a cent', 1.005],
    ['nothing', 0],
    ['less than nothing', -5],
    ['words', 'a lot'],
    ['too much for a payment', 1e13],
    ['a missing Value', undefined],
  ];
  for (const [title, amount] of flawed) {
    it(`keeps ${title} as an amount that cannot be right`, () => {
      const value = stkBody('ws_CO_1', { amount: amount ?? null });
      assert.equal(parseStkResult(value).flaw, 'AMOUNT_INVALID');
      assert.equal(parseC2bNotice(c2bBody({ TransAmount: amount })).flaw, 'AMOUNT_INVALID');
    });
  }

  it('reads a bill payment, whose values are texts, and forgives spaces around them', () => {
    const { sha256, details, ...notice } = parseC2bNotice(
      c2bBody({ BillRefNumber: ' meter001 ', TransAmount: '5000.00' }),
    );
    assert.deepEqual(notice, {
      channel: 'c2b',
      paid: true,
      receipt: 'RKTQDM7W6S',
      amount: '5000.00',
      short_code: '600638',
      // The case is the payer's.
      meter_number: 'meter001',
      phone: '2547*****678',
      paid_at: paidAt.getTime(),
      checkout_request_id: null,
      result_code: null,
      result_desc: null,
      flaw: null,
    });
    assert.equal(typeof sha256, 'string');
    assert.equal((details['body'] as Record<string, unknown>)['FirstName'], 'John');
  });

  const nothing: unknown[] = [undefined, null, 'x', 7, [], {}, { Body: 7 }, { Body: { stkCallback: [] } }];
  it('refuses what is no callback at all, naming what is missing', () => {
    for (const body of nothing) {
      assert.throws(() => parseStkResult(body), { code: 'SCHEMA_INVALID' });
      assert.throws(() => parseC2bNotice(body), { code: 'SCHEMA_INVALID', message: /TransID/ });
    }
  });

  it('takes amounts as numbers and texts, exactly', () => {
    const rows: [unknown, string | null][] = [
      [1, '1.00'],
      ['1', '1.00'],
      ['0010.50', '10.50'],
      [10.5, '10.50'],
      [0.1, '0.10'],
      ['250000.999', null],
      ['1e3', null],
      ['12.', null],
      [Number.NaN, null],
      ['99.990', '99.99'],
    ];
    for (const [value, amount] of rows) assert.equal(amountOf(value), amount, String(value));
  });

  it('takes times of East Africa, and none that the calendar does not have', () => {
    assert.equal(timeOf('20261121003000'), Date.parse('2026-11-20T21:30:00Z'));
    assert.equal(timeOf(20261121003000), Date.parse('2026-11-20T21:30:00Z'));
    for (const wrong of ['20260231000000', '20261121240000', '2026-11-21', '', null, 5])
      assert.equal(timeOf(wrong), null);
    assert.equal(writtenTime(Date.parse('2026-11-20T21:30:07Z')), '20261121003007');
  });

  it('tells copies of a callback from others by its content', () => {
    const one = parseStkResult(stkBody('a', { payer: phone }));
    assert.equal(one.sha256, parseStkResult(stkBody('a', { payer: phone })).sha256);
    assert.notEqual(one.sha256, parseStkResult(stkBody('a', { payer: phone, amount: 2 })).sha256);
  });
});
