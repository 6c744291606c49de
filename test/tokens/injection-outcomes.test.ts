import assert from 'node:assert/strict';
import { discrepancies } from '../balances/meters.js';
import { house, houseForEach, inject, injections } from './house-for-each.js';
import { drn, otherToken, records, token, wanted } from './injection-house.js';

describe('A token injection', () => {
  houseForEach();

  it('ends with what the meter said, as it said it, and books its units once [T-2]', async () => {
    const answer = records(2);
    house.meterSays(answer);
    const { outcome, statusCode, body } = await inject();
    assert.deepEqual([outcome, statusCode], ['applied', 200]);
    const { injection_id, ...rest } = body;
    assert.deepEqual(rest, {
      status: 'success',
      message: 'Token injected successfully. Injected units: 2.00',
      injected_units: 2,
      data: answer,
    });
    assert.deepEqual(JSON.parse(house.calls[0]?.text ?? ''), wanted, 'and nothing else goes to the vendor');
    const record = await house.record();
    assert.deepEqual(
      [
        record['id'],
        record['status'],
        record['phase'],
        record['late'],
        record['code'],
        record['vendor_status'],
      ],
      [injection_id, 'success', 'answered', false, null, 202],
    );
    const times = ['requested', 'subscribed', 'sent', 'answered', 'finished'].map((phase) =>
      Number(record[`${phase}_at`] as Date),
    );
    assert.deepEqual(
      times,
      [...times].sort((one, other) => one - other),
    );
    assert.equal(await house.balance(), '2.0000');
    assert.equal(await discrepancies(house.database.database), 0);
    const [entry] = await house.rows(
      `select t.kind, t.caller, t.memo from ledger_transactions t where kind = 'token'`,
    );
    assert.deepEqual(entry, { kind: 'token', caller: 'tester', memo: `token injection ${injection_id}` });
  });

  it('keeps of the token a keyed hash and four digits', async () => {
    house.meterSays(records(2));
    await inject();
    const { token_hash: hash, token_last4: last4, ...rest } = await house.record();
    assert.equal((hash as Buffer).length, 32);
    assert.equal(last4, '9281');
    assert.ok(!JSON.stringify({ ...rest, hash: (hash as Buffer).toString('latin1') }).includes(token));
  });

  const refusals: [said: unknown, reason: string, message: RegExp][] = [
    [records(0, { ack: 0 }), 'failed', /refused/],
    [records(0, { ack: 0, status: 'used' }), 'used', /used this token before/],
    [{ meter_number: drn, status: 'used', injected_units: 0 }, 'used', /used this token before/],
    [
      { status: 'expired', message: 'TID too old' },
      'expired',
      /too old for the meter\. It says: TID too old/,
    ],
    [{ status: 'wrong_meter' }, 'wrong_meter', /for another meter/],
    [{ status: 'failed', injected_units: 7 }, 'failed', /refused/],
  ];
  for (const [said, reason, message] of refusals) {
    it(`is refused when the meter says ${JSON.stringify(said)}`, async () => {
      house.meterSays(said);
      const { outcome, statusCode, body } = await inject();
      assert.deepEqual([outcome, statusCode, body.status, body.reason], ['refused', 422, 'failed', reason]);
      assert.equal(body.error?.code, 'TOKEN_REFUSED');
      assert.match(body.message, message);
      assert.deepEqual(body.data, said);
      const record = await house.record();
      assert.deepEqual(
        [record['status'], record['refusal'], record['injected_units']],
        ['failed', reason, null],
      );
      assert.equal(await house.balance(), undefined);
    });
  }

  const invalid: [more: object, status: number, code: string, message: RegExp][] = [
    [{ credit_token: undefined }, 400, 'SCHEMA_INVALID', /credit_token is missing/],
    [{ credit_token: 5_415_849_242 }, 400, 'SCHEMA_INVALID', /must be a string: numbers lose digits/],
    [{ meter_number: ['a'] }, 400, 'SCHEMA_INVALID', /meter_number must be a string/],
    [{ credit_token: token.slice(1) }, 400, 'TOKEN_INVALID', /20th digit is missing/],
    [{ credit_token: '99999999999999999999' }, 400, 'TOKEN_INVALID', /7 at most/],
    [{ meter_number: '09000030528' }, 400, 'DRN_CHECK_DIGIT', /check digit should be 9/],
    [{ meter_number: 'METER 1' }, 400, 'METER_NUMBER_INVALID', /a space/],
    [{ meter_number: '' }, 400, 'METER_NUMBER_INVALID', /missing/],
    [{ meter_number: 'NOBODY' }, 404, 'METER_UNKNOWN', /NOBODY/],
    [{ meter_number: '0900003052' }, 404, 'METER_UNKNOWN', /the 11th digit is missing/],
    [{ meter_number: '600727090000305292' }, 404, 'METER_UNKNOWN', /own number in it is 09000030529/],
    [{ meter_number: '01000000000009' }, 404, 'METER_UNKNOWN', /./],
  ];
  for (const [more, status, code, message] of invalid) {
    it(`is not begun with ${JSON.stringify(more)}: ${status} ${code} [T-4]`, async () => {
      const { outcome, statusCode, body } = await inject(more);
      assert.deepEqual([outcome, statusCode, body.error?.code], ['refused', status, code]);
      assert.deepEqual([body.status, body.injection_id], ['failed', null]);
      assert.match(body.message, message);
      assert.equal(house.calls.length, 0);
      assert.deepEqual(await house.rows('select 1 from token_injections'), []);
    });
  }

  it('is not begun without a body', async () => {
    for (const body of [undefined, null, 'x', 7, []])
      assert.equal((await injections.inject(body, 'tester')).statusCode, 400);
  });

  it('needs a meter-management system: 503 TOKEN_API_MISSING [T-3]', async () => {
    const { outcome, statusCode, body, headers } = await house
      .open({ vendor: undefined })
      .inject(wanted, 'tester');
    assert.deepEqual([outcome, statusCode, body.error?.code], ['failed', 503, 'TOKEN_API_MISSING']);
    assert.ok(Number(headers['retry-after']) > 0);
  });

  it('ignores what is no answer, and what another meter says, and goes on waiting', async () => {
    const noise: unknown[] = [
      'not json',
      '',
      '[]',
      '{}',
      'null',
      '"success"',
      '[{"n":1}]',
      'x'.repeat(20_000),
      { status: 'success' },
      { status: 'success', injected_units: -1 },
      { status: 'success', injected_units: 'many' },
      { status: 'success', injected_units: 1.23456 },
      { status: 'success', injected_units: 1e12 },
      { status: ['success'], injected_units: 1 },
      records(5, { meter: '01234567897' }),
      { meter_number: 'METER002', status: 'success', injected_units: 5 },
      { status: 'success', injected_units: 5, credit_token: otherToken },
      [{ n: 'credit-token-ack', v: 1 }],
      [
        { n: 'credit-token-ack', v: '1' },
        { n: 'injected-units', v: 5 },
      ],
    ];
    house.onOrder = async () => {
      for (const one of noise) await house.say(drn, one);
      await house.say('METER002', records(5));
      await house.say(drn, records(2));
      return { status: 202 };
    };
    assert.equal((await inject()).body.injected_units, 2);
    assert.equal(await house.balance('METER002'), undefined);
  });

  it('takes answers by a mapping of the integrator’s own', async () => {
    const mapping = (data: unknown): unknown => {
      const { ok, kwh } = data as { ok: boolean; kwh: number };
      return { status: ok ? 'success' : 'failed', injected_units: kwh };
    };
    const own = house.open({ mapping });
    house.meterSays({ ok: true, kwh: 7.25 });
    assert.equal((await own.inject(wanted, 'tester')).body.injected_units, 7.25);
  });
});
