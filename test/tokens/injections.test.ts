import assert from 'node:assert/strict';
import { openMqttLink } from '../../src/mqtt/link.js';
import type { Injections } from '../../src/tokens/injections.js';
import { balanceOf, discrepancies } from '../balances/meters.js';
import { eventually } from '../support/eventually.js';
import {
  drn,
  openInjectionHouse,
  otherToken,
  records,
  token,
  tokenOf,
  type InjectionHouse,
  type VendorReply,
} from './injection-house.js';

const wanted = { meter_number: drn, credit_token: token };

describe('A token injection', function () {
  this.timeout(30_000);
  let house: InjectionHouse;
  let injections: Injections;
  beforeEach(async () => {
    house = await openInjectionHouse();
    injections = house.open();
  });
  afterEach(() => house.close());

  const inject = (more: object = {}, gone?: AbortSignal) =>
    injections.inject({ ...wanted, ...more }, 'tester', gone);
  const balance = async (meter = 'METER001'): Promise<string | undefined> =>
    balanceOf(house.database.database, meter);
  /** A vendor that hands every token to its meter, which then says this. */
  const meterSays = (answer: unknown, name = drn): void => {
    house.onOrder = () => {
      void house.say(name, answer);
      return { status: 202 };
    };
  };

  it('ends with what the meter said, as it said it, and books its units once [T-2]', async () => {
    const answer = records(2);
    meterSays(answer);
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
    assert.equal(await balance(), '2.0000');
    assert.equal(await discrepancies(house.database.database), 0);
    const [entry] = await house.rows(
      `select t.kind, t.caller, t.memo from ledger_transactions t where kind = 'token'`,
    );
    assert.deepEqual(entry, { kind: 'token', caller: 'tester', memo: `token injection ${injection_id}` });
  });

  it('keeps of the token a keyed hash and four digits', async () => {
    meterSays(records(2));
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
      meterSays(said);
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
      assert.equal(await balance(), undefined);
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

  const vendors: [
    title: string,
    reply: VendorReply,
    calls: number,
    status: string,
    sent: boolean,
    why: RegExp,
  ][] = [
    ['refuses', { status: 422 }, 1, 'failed', true, /answered 422/],
    ['redirects', { status: 302 }, 1, 'failed', true, /answered 302/],
    ['fails', { status: 500 }, 1, 'failed', true, /answered 500/],
    ['is not behind its gateway', { status: 503 }, 3, 'failed', true, /answered 503/],
    ['breaks off', 'reset', 1, 'unanswered', true, /cannot be reached \(ECONNRESET\)/],
    ['does not answer', 'hang', 1, 'unanswered', true, /did not answer within 300 ms/],
  ];
  for (const [title, reply, calls, status, sent, why] of vendors) {
    it(`ends with 502 when the vendor ${title}, and the same meter may try again`, async () => {
      const own = house.open({ vendor: house.vendor({ timeoutMs: 300 }) });
      house.onOrder = () => reply;
      const { outcome, statusCode, body } = await own.inject(wanted, 'tester');
      assert.deepEqual([outcome, statusCode, body.error?.code], ['failed', 502, 'TOKEN_API_FAILED']);
      assert.match(body.message, why);
      assert.equal(house.calls.length, calls);
      const record = await house.record();
      assert.deepEqual([record['status'], record['sent_at'] !== null], [status, sent]);
      assert.equal(body.injection_id, record['id']);
      meterSays(records(2));
      assert.equal((await own.inject({ ...wanted, meter_number: 'METER002' }, 'tester')).statusCode, 409);
      assert.equal((await own.inject(wanted, 'tester')).statusCode, 200);
    });
  }

  it('tries again where the vendor cannot have it, and then binds the token to no meter', async () => {
    const vendor = house.vendor({ url: 'http://127.0.0.1:1' });
    const own = house.open({ vendor });
    const { statusCode, body } = await own.inject(wanted, 'tester');
    assert.deepEqual([statusCode, body.status], [502, 'failed']);
    assert.match(body.message, /ECONNREFUSED/);
    const record = await house.record();
    assert.deepEqual([record['vendor_attempts'], record['sent_at']], [3, null]);
    meterSays({ status: 'success', injected_units: 1 }, 'METER002');
    assert.equal((await inject({ meter_number: 'METER002' })).statusCode, 200, 'another meter may have it');
  });

  it('succeeds on the second attempt behind a gateway that was restarting', async () => {
    house.onOrder = () => {
      if (house.calls.length === 1) return { status: 502 };
      void house.say(drn, records(2));
      return { status: 200 };
    };
    assert.equal((await inject()).statusCode, 200);
    assert.equal((await house.record())['vendor_attempts'], 2);
  });

  it('leaves a vendor alone that fails again and again, and asks once more after a while', async () => {
    const vendor = house.vendor({ attemptsMax: 1, breaker: { failuresMax: 2, openMs: 200 } });
    const own = house.open({ vendor });
    house.onOrder = () => ({ status: 500 });
    const ask = async (n: number) => own.inject({ ...wanted, credit_token: tokenOf(n) }, 'tester');
    for (const n of [1, 2]) assert.match((await ask(n)).body.message, /answered 500/);
    assert.match((await ask(3)).body.message, /failed 2 times in a row/);
    assert.equal(house.calls.length, 2);
    assert.notEqual(vendor.problem, null);
    meterSays(records(2));
    await eventually(async () => (await ask(4)).statusCode === 200);
    assert.equal(vendor.problem, null);
  });

  it('waits no longer than it may: 504, and a late answer completes the record, once [T-5]', async () => {
    const own = house.open({ responseTimeoutMs: 100 });
    const { outcome, statusCode, body } = await own.inject(wanted, 'tester');
    assert.deepEqual([outcome, statusCode, body.status], ['unanswered', 504, 'unanswered']);
    assert.equal(body.error?.code, 'TOKEN_UNANSWERED');
    assert.equal((await house.record())['id'], body.injection_id);
    assert.equal(await balance(), undefined, 'nothing is booked that the meter has not said');
    const signal = AbortSignal.timeout(10_000);
    const said = { topic: `meters/${drn}/token/response`, meter_id: 'METER001', received_at: Date.now() };
    const other = JSON.stringify(records(9, { meter: '01234567897' }));
    assert.deepEqual(await own.hear([{ ...said, payload: other }], signal), [], 'of another meter');
    assert.deepEqual(await own.hear([{ ...said, topic: 'meters/x/readings', payload: '{}' }], signal), []);
    const payload = JSON.stringify(records(2));
    const [late] = await own.hear([{ ...said, payload }], signal);
    assert.deepEqual(late, {
      id: body.injection_id,
      meter_id: 'METER001',
      status: 'success',
      injected_units: 2,
      reason: null,
    });
    assert.deepEqual(await own.hear([{ ...said, payload }], signal), []);
    assert.deepEqual(await house.open().hear([{ ...said, payload }], signal), [], 'nor by another instance');
    const record = await house.record();
    assert.deepEqual([record['status'], record['late'], record['phase']], ['success', true, 'answered']);
    assert.equal(await balance(), '2.0000');
    assert.equal((await own.inject(wanted, 'tester')).body.error?.code, 'TOKEN_USED');
  });

  it('says that an earlier attempt may be booked, when the meter has used a token that went unanswered', async () => {
    const own = house.open({ responseTimeoutMs: 100 });
    assert.equal((await own.inject(wanted, 'tester')).statusCode, 504);
    meterSays({ status: 'used' });
    const { statusCode, body } = await own.inject(wanted, 'tester');
    assert.deepEqual([statusCode, body.reason], [422, 'used']);
    assert.match(body.message, /may have been booked/);
  });

  it('takes the answer that comes before the vendor’s own', async () => {
    house.onOrder = async () => {
      await house.say(drn, records(2));
      await eventually(async () => (await house.record())['phase'] === 'sent');
      return { status: 202 };
    };
    assert.equal((await inject()).statusCode, 200);
    // And also when that is no acceptance: the meter's own word counts.
    house.onOrder = async (order) => {
      await house.say(drn, { status: 'success', injected_units: 3, credit_token: order.credit_token });
      await house.link.publish({ topic: 'meters/METER001/command/x', payload: '', qos: 1, retain: false });
      return { status: 500 };
    };
    assert.equal((await inject({ credit_token: otherToken })).body.injected_units, 3);
  });

  it('belongs to one meter: 409 while it waits, after it was confirmed, and free after wrong_meter', async () => {
    house.onOrder = () => ({ status: 202 });
    const waiting = inject();
    await eventually(() => assert.equal(house.calls.length, 1));
    const bound = await inject({ meter_number: 'METER002' });
    assert.deepEqual([bound.statusCode, bound.body.error?.code], [409, 'TOKEN_BOUND']);
    await house.say(drn, { status: 'wrong_meter' });
    assert.equal((await waiting).statusCode, 422);
    meterSays({ status: 'success', injected_units: 1.5 }, 'METER002');
    assert.equal((await inject({ meter_number: 'METER002' })).statusCode, 200);
    const used = await inject();
    assert.deepEqual([used.statusCode, used.body.error?.code], [409, 'TOKEN_USED']);
    assert.equal(house.calls.length, 2);
  });

  it('is one for all who ask for the same at once: one call, one answer, one booking', async () => {
    house.onOrder = async () => {
      await eventually(() => assert.equal(injections.counts.waiting, 1));
      void house.say(drn, records(2));
      return { status: 202 };
    };
    // Some by the number, some by the meter_id: it is the same meter.
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => inject({ meter_number: n % 2 === 0 ? drn : 'METER001' })),
    );
    assert.equal(house.calls.length, 1);
    assert.equal(
      new Set(answers.map(({ statusCode, body }) => `${statusCode} ${body.injection_id}`)).size,
      1,
    );
    assert.equal(answers[0]?.statusCode, 200);
    assert.equal(await balance(), '2.0000');
  });

  it('is one over instances, too', async () => {
    const other = house.open({ instance: 'other' });
    const first = inject();
    await eventually(() => assert.equal(house.calls.length, 1));
    const second = other.inject(wanted, 'tester');
    await house.say(drn, records(2));
    const [one, two] = await Promise.all([first, second]);
    assert.deepEqual([two.statusCode, two.body], [200, one.body]);
    assert.equal(house.calls.length, 1);
  });

  it('goes after the others of its meter, in order and each with its own answer', async () => {
    let atOnce = 0;
    let most = 0;
    house.onOrder = ({ credit_token }) => {
      atOnce += 1;
      most = Math.max(most, atOnce);
      const units = Number((BigInt(credit_token) >> 29n) & 1023n) / 10;
      setTimeout(() => {
        atOnce -= 1;
        void house.say(drn, records(units));
      }, 2);
      return { status: 202 };
    };
    const numbers = Array.from({ length: 50 }, (_, n) => n + 1);
    const answers = await Promise.all(numbers.map((n) => inject({ credit_token: tokenOf(n) })));
    const expected = numbers.map((n) => Number((BigInt(tokenOf(n)) >> 29n) & 1023n) / 10);
    assert.deepEqual(
      answers.map(({ body }) => body.injected_units),
      expected,
    );
    assert.deepEqual(
      house.calls.map(({ credit_token }) => credit_token),
      numbers.map(tokenOf),
    );
    assert.equal(most, 1);
  });

  it('behind another instance of the same meter waits for it, and says so when that takes too long', async () => {
    const other = house.open({ instance: 'other', queueTimeoutMs: 300 });
    const first = inject();
    await eventually(() => assert.equal(house.calls.length, 1));
    const tooLong = await other.inject({ ...wanted, credit_token: otherToken }, 'tester');
    assert.deepEqual([tooLong.statusCode, tooLong.body.error?.code], [503, 'INJECTIONS_BUSY']);
    const patient = house
      .open({ instance: 'patient' })
      .inject({ ...wanted, credit_token: otherToken }, 'tester');
    await house.say(drn, records(2));
    assert.equal((await first).statusCode, 200);
    await eventually(() => assert.equal(house.calls.length, 2));
    await house.say(drn, records(4));
    assert.equal((await patient).body.injected_units, 4);
  });

  it('is refused when too many wait already', async () => {
    const own = house.open({ waitingMax: 1 });
    const first = own.inject(wanted, 'tester');
    await eventually(() => assert.equal(house.calls.length, 1));
    const { statusCode, body } = await own.inject({ ...wanted, credit_token: otherToken }, 'tester');
    assert.deepEqual([statusCode, body.error?.code], [503, 'INJECTIONS_BUSY']);
    await house.say(drn, records(2));
    assert.equal((await first).statusCode, 200);
  });

  it('of a caller who hangs up ends before the token is sent, and goes on to its record after', async () => {
    const gone = [new AbortController(), new AbortController(), new AbortController()] as const;
    const first = inject({}, gone[0].signal);
    await eventually(() => assert.equal(house.calls.length, 1));
    const second = inject({ credit_token: otherToken }, gone[1].signal);
    gone[1].abort();
    gone[0].abort();
    assert.equal((await second).body.error?.code, 'INJECTION_INTERRUPTED');
    await house.say(drn, records(2));
    assert.equal((await first).statusCode, 200, 'it was sent');
    assert.equal(await balance(), '2.0000');
    assert.equal(house.calls.length, 1);
    gone[2].abort();
    await inject({ credit_token: otherToken }, gone[2].signal);
    assert.equal(house.calls.length, 1);
  });

  it('stays for the others when one of the callers hangs up', async () => {
    const gone = new AbortController();
    const blocking = inject({ credit_token: otherToken });
    await eventually(() => assert.equal(house.calls.length, 1));
    const [first, second] = [inject({}, gone.signal), inject()];
    await eventually(() => assert.equal(injections.counts.waiting, 2));
    gone.abort();
    await house.say(drn, records(1));
    await blocking;
    await eventually(() => assert.equal(house.calls.length, 2));
    await house.say(drn, records(2));
    assert.deepEqual([(await first).statusCode, (await second).statusCode], [200, 200]);
  });

  it('hears the meter under each of its names', async () => {
    for (const [n, name] of ['METER001', drn].entries()) {
      meterSays({ status: 'success', injected_units: n + 1 }, name);
      assert.equal((await inject({ credit_token: tokenOf(n) })).body.injected_units, n + 1);
    }
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
    assert.equal(await balance('METER002'), undefined);
  });

  it('says in its 504 what was wrong with an answer that it could not take', async () => {
    meterSays({ status: 'success' });
    const { statusCode, body } = await house.open({ responseTimeoutMs: 300 }).inject(wanted, 'tester');
    assert.equal(statusCode, 504);
    assert.match(body.message, /says success without injected units/);
  });

  it('takes answers by a mapping of the integrator’s own', async () => {
    const mapping = (data: unknown): unknown => {
      const { ok, kwh } = data as { ok: boolean; kwh: number };
      return { status: ok ? 'success' : 'failed', injected_units: kwh };
    };
    const own = house.open({ mapping });
    meterSays({ ok: true, kwh: 7.25 });
    assert.equal((await own.inject(wanted, 'tester')).body.injected_units, 7.25);
  });

  it('goes by the message id of the vendor, where the meter’s answer carries it', async () => {
    house.onOrder = async () => {
      await house.say(drn, { status: 'used', message_id: 'an-earlier-one' });
      await house.say(drn, { status: 'success', injected_units: 6, message_id: 'this-one' });
      return { status: 202, body: { message_id: 'this-one' } };
    };
    assert.equal((await inject()).body.injected_units, 6);
    // A vendor that says no id: its meter is all there is to go by.
    meterSays({ status: 'success', injected_units: 7, message_id: 'who knows' });
    assert.equal((await inject({ credit_token: otherToken })).body.injected_units, 7);
  });

  it('tells the answer to an earlier token from its own: meters answer in order', async () => {
    const own = house.open({ responseTimeoutMs: 200 });
    const first = await own.inject({ ...wanted, credit_token: tokenOf(1) }, 'tester');
    assert.equal(first.statusCode, 504);
    house.onOrder = async () => {
      await house.say(drn, records(1));
      await house.say(drn, records(5));
      return { status: 202 };
    };
    const second = await injections.inject(wanted, 'tester');
    assert.equal(second.body.injected_units, 5);
    await eventually(async () => {
      const [row] = await house.rows(
        'select status, late, injected_units::text from token_injections where id = $1',
        first.body.injection_id,
      );
      assert.deepEqual(row, { status: 'success', late: true, injected_units: '1.0000' });
    });
    assert.equal(await balance(), '6.0000');
  });

  it('does not take an answer that comes twice for that of the next token', async () => {
    meterSays(records(2));
    assert.equal((await inject()).statusCode, 200);
    house.onOrder = async () => {
      await house.say(drn, records(2));
      await house.say(drn, records(3));
      return { status: 202 };
    };
    assert.equal((await inject({ credit_token: otherToken })).body.injected_units, 3);
    // The meter got one token twice, and says of the second time that it is used.
    house.onOrder = async () => {
      await house.say(drn, { status: 'used' });
      await house.say(drn, records(4));
      return { status: 202 };
    };
    assert.equal((await inject({ credit_token: tokenOf(9) })).body.injected_units, 4);
  });

  it('is ended by a close, with a record that says so and can be completed; nothing stays subscribed', async () => {
    const own = house.open();
    const first = own.inject(wanted, 'tester');
    await eventually(() => assert.equal(house.calls.length, 1));
    const second = own.inject({ ...wanted, credit_token: otherToken }, 'tester');
    await eventually(() => assert.equal(own.counts.waiting, 2));
    await own.close();
    const [one, two] = await Promise.all([first, second]);
    assert.deepEqual([one.statusCode, two.statusCode], [504, 503]);
    assert.match(one.body.message, /stopped/);
    const after = await own.inject(wanted, 'tester');
    assert.equal(after.statusCode, 503);
    assert.equal((await house.record())['status'], 'unanswered');
    const said = { topic: `meters/${drn}/token/response`, meter_id: 'METER001', received_at: Date.now() };
    const [late] = await injections.hear(
      [{ ...said, payload: JSON.stringify(records(2)) }],
      AbortSignal.timeout(5_000),
    );
    assert.equal(late?.id, one.body.injection_id);
    assert.equal(await balance(), '2.0000');
  });

  it('goes on after a restart of the broker in mid-wait', async () => {
    const waiting = inject();
    await eventually(() => assert.equal(house.calls.length, 1));
    await house.restartBroker();
    // Only when it is subscribed again the answer can be heard; meters repeat what was not acknowledged.
    let isOver = false;
    void waiting.finally(() => (isOver = true));
    await eventually(
      async () => {
        if (!isOver) await house.say(drn, records(2));
        return isOver;
      },
      { intervalMs: 100 },
    );
    assert.equal((await waiting).body.injected_units, 2);
    assert.equal(await balance(), '2.0000');
  });

  it('is not sent while the broker is away: 503, and nobody is bound to anything', async () => {
    const { port } = house.broker;
    await house.link.ready();
    await house.broker.broker.close({ drainMs: 0 });
    const link = openMqttLink({
      host: '127.0.0.1',
      port,
      tls: false,
      clientId: 'away',
      username: '',
      password: '',
      timeoutMs: 200,
    });
    const { outcome, statusCode, body } = await house.open({ link }).inject(wanted, 'tester');
    await link.close();
    assert.deepEqual([outcome, statusCode, body.error?.code], ['failed', 503, 'BROKER_UNAVAILABLE']);
    assert.equal(house.calls.length, 0);
    const record = await house.record();
    assert.deepEqual(
      [record['status'], record['code'], record['sent_at']],
      ['failed', 'BROKER_UNAVAILABLE', null],
    );
    await house.restartBroker();
    meterSays(records(2));
    assert.equal((await inject()).statusCode, 200);
  });

  it('is not sent when the broker refuses the subscription', async () => {
    const own = house.open({ topic: 'energy/{meter_number}/secret' });
    const { statusCode, body } = await own.inject(wanted, 'tester');
    assert.deepEqual([statusCode, body.error?.code], [503, 'SUBSCRIPTION_REFUSED']);
    assert.equal(house.calls.length, 0);
  });

  it('hears by the broker’s deliveries what its subscription missed', async () => {
    const first = inject();
    await eventually(() => assert.equal(house.calls.length, 1));
    const payload = JSON.stringify(records(2));
    const said = {
      topic: `meters/${drn}/token/response`,
      meter_id: 'METER001',
      received_at: Date.now(),
      payload,
    };
    assert.deepEqual(await injections.hear([said], AbortSignal.timeout(5_000)), []);
    assert.equal((await first).statusCode, 200);
  });
});
