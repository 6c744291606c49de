import assert from 'node:assert/strict';
import { eventually } from '../support/eventually.js';
import { house, houseForEach, inject, injections } from './house-for-each.js';
import { drn, otherToken, records, tokenOf, wanted } from './injection-house.js';

describe('The answer to a token injection', () => {
  houseForEach();

  it('waits no longer than it may: 504, and a late answer completes the record, once [T-5]', async () => {
    const own = house.open({ responseTimeoutMs: 100 });
    const { outcome, statusCode, body } = await own.inject(wanted, 'tester');
    assert.deepEqual([outcome, statusCode, body.status], ['unanswered', 504, 'unanswered']);
    assert.equal(body.error?.code, 'TOKEN_UNANSWERED');
    assert.equal((await house.record())['id'], body.injection_id);
    assert.equal(await house.balance(), undefined, 'nothing is booked that the meter has not said');
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
    assert.equal(await house.balance(), '2.0000');
    assert.equal((await own.inject(wanted, 'tester')).body.error?.code, 'TOKEN_USED');
  });

  it('says that an earlier attempt may be booked, when the meter has used a token that went unanswered', async () => {
    const own = house.open({ responseTimeoutMs: 100 });
    assert.equal((await own.inject(wanted, 'tester')).statusCode, 504);
    house.meterSays({ status: 'used' });
    const { statusCode, body } = await own.inject(wanted, 'tester');
    assert.deepEqual([statusCode, body.reason], [422, 'used']);
    assert.match(body.message, /may have been booked/);
  });

  it('hears the meter under each of its names', async () => {
    for (const [n, name] of ['METER001', drn].entries()) {
      house.meterSays({ status: 'success', injected_units: n + 1 }, name);
      assert.equal((await inject({ credit_token: tokenOf(n) })).body.injected_units, n + 1);
    }
  });

  it('says in its 504 what was wrong with an answer that it could not take', async () => {
    house.meterSays({ status: 'success' });
    const { statusCode, body } = await house.open({ responseTimeoutMs: 300 }).inject(wanted, 'tester');
    assert.equal(statusCode, 504);
    assert.match(body.message, /says success without injected units/);
  });

  it('goes by the message id of the vendor, where the meter’s answer carries it', async () => {
    house.onOrder = async () => {
      await house.say(drn, { status: 'used', message_id: 'an-earlier-one' });
      await house.say(drn, { status: 'success', injected_units: 6, message_id: 'this-one' });
      return { status: 202, body: { message_id: 'this-one' } };
    };
    assert.equal((await inject()).body.injected_units, 6);
    // A vendor that says no id: its meter is all there is to go by.
    house.meterSays({ status: 'success', injected_units: 7, message_id: 'who knows' });
    assert.equal((await inject({ credit_token: otherToken })).body.injected_units, 7);
  });

  it('is known with as many answers as tokens are open, also to the earlier one', async () => {
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
    assert.equal(await house.balance(), '6.0000');
  });

  it('does not take an answer that comes twice for that of the next token', async () => {
    house.meterSays(records(2));
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
});
