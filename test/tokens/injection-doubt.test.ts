import assert from 'node:assert/strict';
import type { Injections } from '../../src/tokens/injections.js';
import { eventually } from '../support/eventually.js';
import { house, houseForEach, injections } from './house-for-each.js';
import { drn, otherToken, records, tokenOf, wanted } from './injection-house.js';

/** In waits of 400 ms. */
const hour = 9_000;

describe('An answer of a meter that may be to another token', () => {
  houseForEach({ responseTimeoutMs: 400, doubtFactor: hour });

  const inject = (credit_token: string, of: Injections = injections) =>
    of.inject({ ...wanted, credit_token }, 'tester');
  /** Sent, taken by the system, and never answered. */
  const lost = async (credit_token: string): Promise<void> => {
    house.onOrder = () => ({ status: 202 });
    assert.equal((await inject(credit_token)).statusCode, 504);
  };
  const recordOf = async (credit_token: string): Promise<Record<string, unknown>> => {
    const [row = {}] = await house.rows(
      `select id, status, phase, code, late, reason, injected_units::float8 as units, answer
         from token_injections where token_last4 = $1 order by requested_at desc limit 1`,
      credit_token.slice(-4),
    );
    return row;
  };
  const heardLate = async (answer: unknown, of: Injections = injections) =>
    (
      await of.hear(
        [
          {
            topic: `meters/${drn}/token/response`,
            meter_id: 'METER001',
            received_at: Date.now(),
            payload: JSON.stringify(answer),
          },
        ],
        AbortSignal.timeout(5_000),
      )
    ).map(({ id }) => id);
  const [first, second, third] = [tokenOf(1), otherToken, tokenOf(1023)];

  it('is no success, and kept; with the one that was missing both are known', async () => {
    await lost(first);
    house.meterSays(records(1));
    const { outcome, statusCode, body } = await inject(second);
    assert.deepEqual([outcome, statusCode, body.status], ['unanswered', 504, 'unanswered']);
    assert.match(body.message, /names no token, and one before this may still be answered/);
    const { reason, id: _id, ...kept } = await recordOf(second);
    assert.deepEqual(kept, {
      status: 'unanswered',
      phase: 'acknowledged',
      code: 'TOKEN_UNANSWERED',
      late: false,
      units: null,
      answer: records(1),
    });
    assert.equal(reason, body.message);
    assert.equal(await house.balance(), undefined);
    assert.deepEqual(await heardLate(records(1)), [], 'the same once more');
    assert.equal((await heardLate(records(5))).length, 2);
    for (const [token, units] of [
      [first, 1],
      [second, 5],
    ] as const) {
      const record = await recordOf(token);
      assert.deepEqual([record['status'], record['late'], record['units']], ['success', true, units]);
    }
    assert.equal(await house.balance(), '6.0000');
  });

  it('is no success either when it comes long after a second', async () => {
    await lost(first);
    const patient = house.open({ responseTimeoutMs: 2_500, doubtFactor: 1.75 });
    house.onOrder = () => {
      setTimeout(() => void house.say(drn, records(1)), 1_200);
      return { status: 202 };
    };
    assert.equal((await inject(second, patient)).statusCode, 504);
  });

  it('is no refusal either: what the meter refused may be the other one', async () => {
    await lost(first);
    house.meterSays({ status: 'expired' });
    assert.equal((await inject(second)).statusCode, 504);
    assert.deepEqual(await heardLate(records(2)), [], 'a yes and a no: nobody knows of what');
    assert.equal(await house.balance(), undefined);
  });

  it('is kept for two tokens, and known when a third brings the last', async () => {
    await lost(first);
    house.meterSays(records(1));
    assert.equal((await inject(second)).statusCode, 504);
    house.onOrder = async () => {
      await house.say(drn, records(2));
      await house.say(drn, records(3));
      return { status: 202 };
    };
    const { statusCode, body } = await inject(third);
    assert.deepEqual([statusCode, body.injected_units], [200, 3]);
    await eventually(async () => assert.equal(await house.balance(), '6.0000'));
    const [{ n } = {}] = await house.rows(
      `select count(*)::int as n from token_injections where status = 'success'`,
    );
    assert.equal(n, 3);
  });

  it('is its own when it names the token, whatever is open', async () => {
    await lost(first);
    house.meterSays({ status: 'success', injected_units: 7, credit_token: second });
    assert.equal((await inject(second)).body.injected_units, 7);
  });

  it('is its own when the earlier token is answered meanwhile, by name', async () => {
    await lost(first);
    house.onOrder = async () => {
      await house.say(drn, { status: 'success', injected_units: 1, credit_token: first });
      await house.say(drn, records(7));
      return { status: 202 };
    };
    assert.equal((await inject(second)).body.injected_units, 7);
  });

  it('is its own when the earlier one is the same token, sent again', async () => {
    await lost(first);
    house.meterSays(records(7));
    assert.equal((await inject(first)).body.injected_units, 7);
    // What may still come is the second answer to it, which is no yes.
    house.meterSays(records(8));
    assert.equal((await inject(second)).body.injected_units, 8);
  });

  it('is its own when the system has refused the earlier one', async () => {
    house.onOrder = () => ({ status: 422 });
    assert.equal((await inject(first)).statusCode, 502);
    house.meterSays(records(7));
    assert.equal((await inject(second)).body.injected_units, 7);
  });

  const hours = (n: number, more = ''): Promise<unknown> =>
    house.rows(
      `update token_injections set sent_at = now() - $1::float8 * interval '1 hour' where token_last4 = $2 ${more}`,
      n,
      first.slice(-4),
    );

  it('is its own when the earlier token is of long before', async () => {
    await lost(first);
    await hours(1.1);
    house.meterSays(records(7));
    assert.equal((await inject(second)).body.injected_units, 7);
  });

  it('is doubtful after hours, too, when the meter has come back just now', async () => {
    await lost(first);
    await hours(3);
    await house.rows(
      `update devices set connected_instance = 'x', last_seen_at = now() - interval '1 minute' where meter_id = 'METER001'`,
    );
    house.meterSays(records(7));
    assert.equal((await inject(second)).statusCode, 504);
  });

  it('in the very words of the last one is no success at once: it may be that one once more', async () => {
    house.meterSays(records(2));
    assert.equal((await inject(first)).statusCode, 200);
    const { statusCode, body } = await inject(second);
    assert.equal(statusCode, 504);
    assert.match(body.message, /its answer once more, or a second/);
    assert.equal(await house.balance(), '2.0000');
  });

  it('in the very words of the last one is none when another follows', async () => {
    const patient = house.open({ responseTimeoutMs: 10_000 });
    house.meterSays(records(2));
    assert.equal((await inject(first, patient)).statusCode, 200);
    house.meterSays(records(2));
    setTimeout(() => void house.say(drn, records(3)), 500);
    assert.equal((await inject(second, patient)).body.injected_units, 3);
    assert.equal(await house.balance(), '5.0000');
  });

  it('in the very words of the last one is its own when none follows: not every meter has a clock', async () => {
    const patient = house.open({ responseTimeoutMs: 10_000 });
    house.meterSays(records(2));
    const begun = performance.now();
    for (const token of [first, second, third]) {
      const { statusCode, body } = await inject(token, patient);
      assert.deepEqual([statusCode, body.injected_units], [200, 2]);
    }
    const took = performance.now() - begun;
    assert.ok(took > 2_000 && took < 5_000, `a second each, and not longer for the wait before: ${took}`);
    assert.equal(await house.balance(), '6.0000');
  });

  it('waits until the earlier token’s time is over, and is its own then', async () => {
    const usual = house.open({ responseTimeoutMs: 800 });
    house.onOrder = () => ({ status: 202 });
    const begun = performance.now();
    assert.equal((await inject(first, usual)).statusCode, 504);
    house.meterSays(records(7));
    const { statusCode, body } = await inject(second, usual);
    assert.deepEqual([statusCode, body.injected_units], [200, 7]);
    assert.ok(performance.now() - begun >= 1_300, 'not before');
    assert.deepEqual(await heardLate(records(1), usual), [(await recordOf(first))['id']]);
  });

  it('in the very words of the last no is one when the time is over: people try tokens, and not every meter has a clock', async () => {
    house.meterSays({ status: 'expired' });
    const patient = house.open({ responseTimeoutMs: 1_500 });
    for (const token of [first, second]) assert.equal((await inject(token, patient)).statusCode, 422);
    assert.equal((await inject(third)).statusCode, 504, 'not within a second: its own may be on its way');
  });

  it('in the very words of one that another instance took is none either', async () => {
    house.meterSays(records(2));
    assert.equal((await inject(first)).statusCode, 200);
    await house.rows('update token_injections set run = gen_random_uuid()');
    const other = house.open({ instance: 'other', responseTimeoutMs: 400, doubtFactor: hour });
    assert.equal((await inject(second, other)).statusCode, 504);
    house.meterSays(records(3));
    assert.equal((await inject(third, other)).statusCode, 504, 'of two now');
  });

  it('that was retained before anybody asked is no answer', async () => {
    await house.broker.broker.publish({
      topic: `meters/${drn}/token/response`,
      payload: JSON.stringify(records(9)),
      qos: 1,
      retain: true,
    });
    house.onOrder = () => ({ status: 202 });
    assert.equal((await inject(first)).statusCode, 504);
    house.meterSays(records(2));
    assert.equal((await inject(first)).body.injected_units, 2);
  });

  it('is heard where somebody waits for it, and not told of an earlier token by another instance', async () => {
    await lost(first);
    const waiting = inject(second);
    await eventually(() => assert.equal(house.calls.length, 2));
    const other = house.open({ instance: 'other' });
    assert.deepEqual(await heardLate(records(4), other), []);
    assert.equal((await waiting).statusCode, 504);
    assert.equal((await recordOf(first))['status'], 'unanswered');
  });

  it('of before a token was sent is not its own, though it is heard of afterwards', async () => {
    const waiting = inject(first);
    await eventually(() => assert.equal(house.calls.length, 1));
    const said = {
      topic: `meters/${drn}/token/response`,
      meter_id: 'METER001',
      received_at: Date.now() - 60_000,
      payload: JSON.stringify(records(2)),
    };
    assert.deepEqual(await injections.hear([said], AbortSignal.timeout(5_000)), []);
    assert.equal((await waiting).statusCode, 504);
  });
});
