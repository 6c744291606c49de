import assert from 'node:assert/strict';
import { eventually } from '../support/eventually.js';
import { house, houseForEach, inject, injections } from './house-for-each.js';
import { drn, otherToken, records, tokenOf, wanted } from './injection-house.js';

describe('Token injections at once', () => {
  houseForEach();

  it('belongs to one meter: 409 while it waits, after it was confirmed, and free after wrong_meter', async () => {
    house.onOrder = () => ({ status: 202 });
    const waiting = inject();
    await eventually(() => assert.equal(house.calls.length, 1));
    const bound = await inject({ meter_number: 'METER002' });
    assert.deepEqual([bound.statusCode, bound.body.error?.code], [409, 'TOKEN_BOUND']);
    await house.say(drn, { status: 'wrong_meter' });
    assert.equal((await waiting).statusCode, 422);
    house.meterSays({ status: 'success', injected_units: 1.5 }, 'METER002');
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
    assert.equal(await house.balance(), '2.0000');
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
    assert.equal(await house.balance(), '2.0000');
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
});
