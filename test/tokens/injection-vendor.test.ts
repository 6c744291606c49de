import assert from 'node:assert/strict';
import { eventually } from '../support/eventually.js';
import { house, houseForEach, inject } from './house-for-each.js';
import { drn, otherToken, records, tokenOf, wanted, type VendorReply } from './injection-house.js';

describe('A token injection and the meter-management system', () => {
  houseForEach();

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
      house.meterSays(records(2));
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
    house.meterSays({ status: 'success', injected_units: 1 }, 'METER002');
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
    // Of a system that answers 500 nobody knows what it forwarded: only a name tells.
    house.meterSays({ status: 'success', injected_units: 2, credit_token: tokenOf(4) });
    await eventually(async () => (await ask(4)).statusCode === 200);
    assert.equal(vendor.problem, null);
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
});
