import assert from 'node:assert/strict';
import type { Statement } from '../../src/database/database.js';
import { createAcceptance, type Acceptance } from '../../src/payments/acceptance.js';
import { parseC2bNotice } from '../../src/payments/c2b-notice.js';
import { readFacts } from '../../src/payments/facts.js';
import type { Notice } from '../../src/payments/notice.js';
import type { Payment } from '../../src/payments/payment.js';
import { digest, parseStkResult } from '../../src/payments/stk-result.js';
import { c2bBody, openHouse, paidAt, receiptOf, stkBody, type House } from './callbacks.js';

describe('a payment is accepted once [P-1]', () => {
  let house: House;
  let acceptance: Acceptance;
  const signal = new AbortController().signal;
  beforeEach(async () => {
    house = await openHouse();
    acceptance = createAcceptance(house.database, { shortCode: '600638' });
  });
  afterEach(async () => {
    assert.deepEqual(await house.faults(), []);
    await house.drop();
  });

  const accept = (notice: Notice): Promise<Payment> => acceptance.accept(notice, { signal });
  const stk = (checkout: string, fields: Parameters<typeof stkBody>[1] = {}) =>
    accept(parseStkResult(stkBody(checkout, fields)));
  const c2b = (fields: Readonly<Record<string, unknown>> = {}) => accept(parseC2bNotice(c2bBody(fields)));
  /** The provider says that it was paid, and nothing else. */
  const asked = (checkout: string) =>
    accept({
      ...parseStkResult(stkBody(checkout)),
      channel: 'query',
      receipt: null,
      amount: null,
      phone: null,
      paid_at: null,
      sha256: digest('query', [checkout, '0']),
    });
  const commands = () =>
    house.rows(`select subject, revision from outbox where done_at is null order by subject`);
  const stateOf = async (checkout: string) =>
    (
      await house.rows(
        `select state, payment_id is not null as paid, receipt, result_code from payment_prompts
                        where checkout_request_id = $1`,
        checkout,
      )
    )[0];

  it('as money, units and a balance command in one transaction', async () => {
    const payment = await c2b();
    const { id, received_at, ...rest } = payment;
    assert.deepEqual(rest, {
      outcome: 'accepted',
      channel: 'c2b',
      receipt: 'RKTQDM7W6S',
      amount: 100,
      currency: 'KES',
      meter_number: 'METER001',
      meter_id: 'METER001',
      phone: '2547*****678',
      result_code: null,
      reason: null,
      checkout_request_id: null,
      paid_at: paidAt.toISOString(),
      units: 4,
      balance: 4,
    });
    assert.ok(Date.parse(received_at) <= Date.now());
    const [row] = await house.rows(
      `select id::int, outcome, amount::text, details->'body'->>'FirstName' as name from payments`,
    );
    assert.deepEqual(row, { id, outcome: 'accepted', amount: '100.00', name: 'John' });
    assert.equal(await house.balance('METER001'), 4);
    assert.deepEqual(await commands(), [{ subject: 'METER001', revision: 1 }]);
  });

  it('by the drn as well as by the meter_id, in the case that was written', async () => {
    assert.equal((await c2b({ BillRefNumber: ' 09000030529 ' })).meter_id, 'METER001');
    const other = await c2b({ BillRefNumber: 'meter001', TransID: receiptOf(2) });
    assert.deepEqual([other.outcome, other.reason], ['suspense', 'METER_UNKNOWN']);
  });

  it('as the result of a prompt, which is closed', async () => {
    await house.prompt('ws_CO_1');
    const payment = await stk('ws_CO_1');
    assert.deepEqual(
      [payment.outcome, payment.meter_id, payment.amount, payment.units],
      ['accepted', 'METER001', 100, 4],
    );
    assert.deepEqual(await stateOf('ws_CO_1'), {
      state: 'succeeded',
      paid: true,
      receipt: null,
      result_code: '0',
    });
  });

  it('however often it comes, in order and at once, through both channels', async () => {
    await house.prompt('ws_CO_1');
    const receipt = 'NLJ7RT61SV';
    const both = () => [stk('ws_CO_1'), c2b({ TransID: receipt.toLowerCase(), MSISDN: '0712***678' })];
    const outcomes = (await Promise.all(Array.from({ length: 5 }, both).flat())).map(
      ({ outcome }) => outcome,
    );
    assert.equal(outcomes.filter((outcome) => outcome === 'accepted').length, 1);
    assert.equal(outcomes.filter((outcome) => outcome === 'duplicate').length, 9);
    for (const later of both()) assert.equal((await later).outcome, 'duplicate');
    assert.equal(await house.balance('METER001'), 4);
    assert.equal((await house.rows('select from payments')).length, 1);
    assert.equal((await stateOf('ws_CO_1'))?.['state'], 'succeeded');
    assert.deepEqual(await commands(), [{ subject: 'METER001', revision: 1 }]);
  });

  for (const [title, first, second] of [
    ['the bill first', 'c2b', 'stk'],
    ['the bill second', 'stk', 'c2b'],
  ] as const) {
    it(`as one payment of two channels, ${title}; the prompt is closed either way`, async () => {
      await house.prompt('ws_CO_1');
      const ways = { stk: () => stk('ws_CO_1'), c2b: () => c2b({ TransID: 'NLJ7RT61SV' }) };
      assert.equal((await ways[first]()).outcome, 'accepted');
      const again = await ways[second]();
      assert.deepEqual([again.outcome, again.id !== null], ['duplicate', true]);
      assert.deepEqual(await stateOf('ws_CO_1'), {
        state: 'succeeded',
        paid: true,
        receipt: null,
        result_code: '0',
      });
      assert.equal(await house.balance('METER001'), 4);
    });
  }

  it('as the answer to our question and as the bill of the same prompt, in one group', async () => {
    for (let round = 0; round < 3; round += 1) {
      await house.prompt(`ws_CO_${round}`);
      const bills = c2b({ TransID: receiptOf(round) });
      const [answer, bill] = await Promise.all([asked(`ws_CO_${round}`), bills]);
      assert.deepEqual([answer.outcome, bill.outcome], ['accepted', 'duplicate']);
      assert.equal(await house.balance('METER001'), 4 * (round + 1));
      assert.equal((await stateOf(`ws_CO_${round}`))?.['receipt'], receiptOf(round));
    }
  });

  it('as two bills alike, when one of them is what we had asked about', async () => {
    await house.prompt('ws_CO_1');
    await asked('ws_CO_1');
    const bills = await Promise.all([c2b({ TransID: receiptOf(1) }), c2b({ TransID: receiptOf(2) })]);
    assert.deepEqual(bills.map(({ outcome }) => outcome).toSorted(), ['accepted', 'duplicate']);
    assert.equal(await house.balance('METER001'), 8);
  });

  it('as two prompts alike that we ask about, when the bill of one of them is here', async () => {
    await house.prompt('ws_CO_1');
    await house.prompt('ws_CO_2');
    await c2b({ TransID: receiptOf(1) });
    const answers = await Promise.all([asked('ws_CO_1'), asked('ws_CO_2')]);
    assert.deepEqual(answers.map(({ outcome }) => outcome).toSorted(), ['accepted', 'duplicate']);
    assert.equal(await house.balance('METER001'), 8);
  });

  it('as the result and as the bill of two prompts alike, each once', async () => {
    await house.prompt('ws_CO_1');
    await house.prompt('ws_CO_2');
    const one = { receipt: receiptOf(1) };
    await Promise.all([stk('ws_CO_1', one), c2b({ TransID: receiptOf(2) }), c2b({ TransID: receiptOf(1) })]);
    await stk('ws_CO_2', { receipt: receiptOf(2) });
    assert.equal(await house.balance('METER001'), 8);
  });

  it('by two instances at once, without a deadlock and without a second credit', async () => {
    const other = createAcceptance(house.database, { shortCode: '600638' });
    const meters = Array.from({ length: 8 }, (_, at) => `PAR${at}`);
    for (const meter of meters) await house.register(meter);
    const receipts = Array.from({ length: 60 }, (_, at) => receiptOf(at));
    const notices = receipts.map((TransID, at) =>
      parseC2bNotice(c2bBody({ TransID, BillRefNumber: meters[at % meters.length] })),
    );
    const all = [...notices, ...notices.toReversed()];
    const settled = await Promise.all(
      all.flatMap((notice) => [acceptance, other].map((one) => one.accept(notice, { signal }))),
    );
    assert.equal(settled.filter(({ outcome }) => outcome === 'accepted').length, 60);
    assert.equal(settled.filter(({ outcome }) => outcome === 'duplicate').length, 180);
    let sum = 0;
    for (const meter of meters) sum += await house.balance(meter);
    assert.equal(sum, 60 * 4);
  });

  it('as an alarm when the same receipt comes with another amount', async () => {
    await c2b();
    const other = await c2b({ TransAmount: '1000.00', TransID: 'rktqdm7w6s' });
    assert.deepEqual([other.outcome, other.reason], ['disputed', 'RECEIPT_MISMATCH']);
    assert.equal((await c2b({ TransAmount: '1000.00', TransID: 'rktqdm7w6s' })).outcome, 'duplicate');
    assert.equal(await house.balance('METER001'), 4);
    const rows = await house.rows('select outcome, reason, amount::text from payments order by id');
    assert.deepEqual(rows, [
      { outcome: 'accepted', reason: null, amount: '100.00' },
      { outcome: 'disputed', reason: 'RECEIPT_MISMATCH', amount: '1000.00' },
    ]);
  });

  const bills: readonly [title: string, fields: Record<string, unknown>, outcome: string, reason: string][] =
    [
      ['an unknown meter', { BillRefNumber: 'NOBODY' }, 'suspense', 'METER_UNKNOWN'],
      ['no meter', { BillRefNumber: '' }, 'suspense', 'METER_UNKNOWN'],
      ['what cannot name a meter', { BillRefNumber: 'House 7; drop' }, 'suspense', 'METER_UNKNOWN'],
      ['a revoked meter', { BillRefNumber: 'GONE' }, 'suspense', 'METER_UNKNOWN'],
      ['another short code', { BusinessShortCode: '600000' }, 'disputed', 'SHORT_CODE'],
      ['no short code', { BusinessShortCode: undefined }, 'disputed', 'SHORT_CODE'],
      ['three decimals', { TransAmount: '1.005' }, 'disputed', 'AMOUNT_INVALID'],
    ];
  for (const [title, fields, outcome, reason] of bills) {
    it(`a bill with ${title} is kept as ${outcome}, ${reason}, once, and credits nobody`, async () => {
      await house.register('GONE');
      await house.rows(`update devices set revoked_at = now() where meter_id = 'GONE'`);
      const payment = await c2b(fields);
      assert.deepEqual([payment.outcome, payment.reason, payment.meter_id], [outcome, reason, null]);
      assert.equal((await c2b(fields)).outcome, 'duplicate');
      assert.deepEqual(await house.rows('select outcome, reason from payments'), [{ outcome, reason }]);
      assert.deepEqual(await commands(), []);
      const [suspense] = await house.rows<{ sum: number }>(
        `select coalesce(sum(e.amount), 0)::float8 as sum from ledger_entries e join accounts a on a.id = e.account_id
          where a.kind = 'suspense'`,
      );
      assert.equal(suspense?.sum, outcome === 'suspense' ? 100 : 0);
    });
  }

  const results: readonly [title: string, prompt: object, fields: object, outcome: string, reason: string][] =
    [
      ['of no prompt of ours', { checkout_request_id: 'other' }, {}, 'disputed', 'PROMPT_UNKNOWN'],
      ['with another amount', {}, { amount: 1000 }, 'disputed', 'AMOUNT_MISMATCH'],
      ['from another phone', {}, { payer: 254700000000 }, 'disputed', 'PHONE_MISMATCH'],
      ['from a masked phone with other digits', {}, { payer: '2547*****679' }, 'disputed', 'PHONE_MISMATCH'],
      ['of a prompt that failed', { state: 'failed' }, {}, 'disputed', 'PROMPT_CLOSED'],
      ['without a receipt', {}, { receipt: '' }, 'disputed', 'RECEIPT_MISSING'],
      ['with parts of a cent', {}, { amount: 100.001 }, 'disputed', 'AMOUNT_INVALID'],
    ];
  for (const [title, prompt, fields, outcome, reason] of results) {
    it(`a result ${title} is ${outcome}, ${reason}, kept once, and credits nothing`, async () => {
      await house.prompt('ws_CO_1', prompt as Record<string, unknown>);
      const payment = await stk('ws_CO_1', fields);
      assert.deepEqual([payment.outcome, payment.reason], [outcome, reason]);
      assert.equal((await stk('ws_CO_1', fields)).outcome, 'duplicate');
      assert.deepEqual(await house.rows('select outcome, reason from payments'), [{ outcome, reason }]);
      assert.equal(await house.balance('METER001'), 0);
    });
  }

  const phones = ['2547*****678', '0712345678', 'a'.repeat(64), undefined];
  for (const payer of phones) {
    it(`a result from ${payer} counts: what can be seen of the phone is right`, async () => {
      await house.prompt('ws_CO_1');
      assert.equal((await stk('ws_CO_1', { payer })).outcome, 'accepted');
    });
  }

  it('a failed result is recorded, closes its prompt, and credits nothing', async () => {
    await house.prompt('ws_CO_1');
    const failed = await stk('ws_CO_1', { code: 1032 });
    assert.deepEqual(
      [failed.outcome, failed.result_code, failed.reason, failed.meter_id, failed.units],
      ['failed', '1032', 'Request cancelled by user.', 'METER001', null],
    );
    assert.deepEqual(await stateOf('ws_CO_1'), {
      state: 'failed',
      paid: true,
      receipt: null,
      result_code: '1032',
    });
    assert.equal((await stk('ws_CO_1', { code: 1032 })).outcome, 'duplicate');
    assert.equal(await house.balance('METER001'), 0);
  });

  it('a failure that comes late overturns no success', async () => {
    await house.prompt('ws_CO_1');
    await stk('ws_CO_1');
    const late = await stk('ws_CO_1', { code: 1037 });
    assert.deepEqual([late.outcome, late.reason], ['disputed', 'PROMPT_CLOSED']);
    assert.equal((await stateOf('ws_CO_1'))?.['state'], 'succeeded');
    assert.equal(await house.balance('METER001'), 4);
  });

  it('a second success of one prompt credits nothing', async () => {
    await house.prompt('ws_CO_1');
    await stk('ws_CO_1');
    const other = await stk('ws_CO_1', { receipt: 'SECOND0001' });
    assert.deepEqual([other.outcome, other.reason], ['disputed', 'PROMPT_CLOSED']);
    assert.equal(await house.balance('METER001'), 4);
  });

  it('a success counts that comes after its prompt expired: money has moved', async () => {
    await house.prompt('ws_CO_1', { state: 'expired' });
    assert.equal((await stk('ws_CO_1')).outcome, 'accepted');
    assert.equal((await stateOf('ws_CO_1'))?.['state'], 'succeeded');
  });

  it('a result that overtakes the answer to its own request waits for it', async () => {
    const id = await house.prompt('ws_CO_1', {
      checkout_request_id: null,
      state: 'requested',
      requested_at: new Date(),
    });
    const early = stk('ws_CO_1');
    // As soon as it has looked once.
    for (let looks = 0; looks === 0;)
      [{ looks = 0 } = {}] = await house.rows<{ looks: number }>(
        `select count(*)::int as looks from pg_stat_activity
          where datname = current_database() and query like '%payment_prompts%' and pid <> pg_backend_pid()`,
      );
    await house.rows(
      `update payment_prompts set state = 'open', checkout_request_id = 'ws_CO_1' where id = $1::bigint`,
      id,
    );
    assert.equal((await early).outcome, 'accepted');
    assert.equal((await house.rows('select from payments')).length, 1);
  });

  it('an answer that is stored in the middle of the look at its prompt is not missed', async () => {
    const id = await house.prompt('ws_CO_1', {
      checkout_request_id: null,
      state: 'requested',
      requested_at: new Date(),
    });
    const notice = parseStkResult(stkBody('ws_CO_1'));
    const facts = await house.database.transaction((tx) =>
      readFacts(
        {
          async query<R extends object>(statement: Statement) {
            const found = await tx.query<R>(statement);
            if (statement.name === 'lock-prompts')
              await house.rows(
                `update payment_prompts set state = 'open', checkout_request_id = 'ws_CO_1' where id = $1::bigint`,
                id,
              );
            return found;
          },
        },
        [notice],
      ),
    );
    assert.ok(facts.promptOf(notice) !== undefined || facts.isPromptUnderWay);
  });

  it('a meter number longer than the provider’s account is found by the prompt’s reference', async () => {
    await house.register('A-METER-WITH-A-LONG-NAME');
    const id = await house.prompt('ws_CO_1', {
      meter_number: 'A-METER-WITH-A-LONG-NAME',
      meter_id: 'A-METER-WITH-A-LONG-NAME',
    });
    const payment = await c2b({ BillRefNumber: `MF${Number(id).toString(36).toUpperCase()}` });
    assert.deepEqual([payment.outcome, payment.meter_id], ['accepted', 'A-METER-WITH-A-LONG-NAME']);
  });

  it('money is kept in suspense when nothing can be sold for it, and the others of its group are sold', async () => {
    await house.rows(
      `create function fail_sale() returns trigger language plpgsql as $$
       begin if new.meter_id = 'METER002' then raise exception 'no sale today'; end if; return new; end $$`,
    );
    await house.rows(
      `create trigger fail_sale before insert on sales for each row execute function fail_sale()`,
    );
    const payments = await Promise.all(
      Array.from({ length: 6 }, (_, at) =>
        c2b({ TransID: receiptOf(at), BillRefNumber: at % 2 === 0 ? 'METER001' : 'METER002' }),
      ),
    );
    assert.deepEqual(
      payments.map(({ outcome, reason }) => [outcome, reason]),
      payments.map((_, at) => (at % 2 === 0 ? ['accepted', null] : ['suspense', 'SALE_FAILED'])),
    );
    assert.equal(await house.balance('METER001'), 12);
  });

  it('leaves nothing behind when its transaction fails, and is accepted when it comes again', async () => {
    await house.rows('alter table ledger_entries rename to ledger_entries_away');
    await assert.rejects(c2b(), { code: '42P01' });
    assert.deepEqual(await house.rows('select from payments'), []);
    await house.rows('alter table ledger_entries_away rename to ledger_entries');
    assert.equal((await c2b()).outcome, 'accepted');
  });
});
