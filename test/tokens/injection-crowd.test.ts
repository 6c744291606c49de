import assert from 'node:assert/strict';
import { deferred } from '../../src/batches/deferred.js';
import { createRegistry } from '../../src/devices/registry.js';
import { discrepancies } from '../balances/meters.js';
import { chanceOf } from '../ledger/chance.js';
import { eventually } from '../support/eventually.js';
import { openInjectionHouse, tokenOf, type InjectionHouse } from './injection-house.js';

const metersMax = 500;
const injectionsMax = 1_000;

describe('A crowd of token injections', function () {
  this.timeout(180_000);
  let house: InjectionHouse;
  beforeEach(async () => {
    house = await openInjectionHouse();
  });
  afterEach(() => house.close());

  const unitsOf = (token: string): number => Number((BigInt(token) >> 29n) & 4095n) / 10;
  const meterOf = (n: number): string => `M${n % metersMax}`;

  it('of 1,000 that wait at once on 500 meters: none crossed, none lost, each booked once [T-5]', async () => {
    const registry = createRegistry(house.database.database);
    await Promise.all(
      Array.from({ length: metersMax }, (_, n) =>
        registry.create({ type: 'meter', meter_id: meterOf(n) }, { name: 'test' }),
      ),
    );
    const injections = house.open({
      responseTimeoutMs: 60_000,
      queueTimeoutMs: 120_000,
      waitingMax: injectionsMax,
    });
    const random = chanceOf(7);
    const everybodyWaits = deferred<void>();
    let most = 0;
    let waitingAtVendor = 0;
    house.onOrder = ({ meter_number, credit_token }) => {
      waitingAtVendor += 1;
      most = Math.max(most, waitingAtVendor);
      // Half of them answer in records, which name no token: then the meter is all there is to go by.
      const units = unitsOf(credit_token);
      const answer = random.percent(50)
        ? records(units, meter_number)
        : { status: 'success', injected_units: units };
      const afterMs = random.percent(10) ? 0 : random.whole(1, 2_500);
      void everybodyWaits.promise.then(() =>
        setTimeout(() => {
          waitingAtVendor -= 1;
          void house.say(meter_number, answer);
        }, afterMs),
      );
      return { status: 202 };
    };
    const order = Array.from({ length: injectionsMax }, (_, n) => n);
    const pending = order.map((n) =>
      injections.inject({ meter_number: meterOf(n), credit_token: tokenOf(n) }, 'crowd'),
    );
    await eventually(() => assert.equal(injections.counts.waiting, injectionsMax), { timeoutMs: 60_000 });
    await eventually(() => assert.equal(waitingAtVendor, metersMax), { timeoutMs: 60_000 });
    everybodyWaits.resolve();
    const answers = await Promise.all(pending);
    assert.deepEqual(
      answers.map(({ statusCode, body }) => [statusCode, body.injected_units]),
      order.map((n) => [200, unitsOf(tokenOf(n))]),
    );
    assert.equal(most, metersMax, 'one at a time per meter');
    const [{ records: count, meters } = {}] = await house.rows(
      `select count(*)::int as records, count(distinct meter_id)::int as meters
         from token_injections where status = 'success' and phase = 'answered'`,
    );
    assert.deepEqual([count, meters], [injectionsMax, metersMax]);
    const wrong = await house.rows(
      `select t.meter_id from token_injections t join accounts a on a.meter_id = t.meter_id and a.kind = 'units'
        group by t.meter_id, a.balance having sum(t.injected_units) <> a.balance`,
    );
    assert.deepEqual(wrong, []);
    assert.equal(await discrepancies(house.database.database), 0);
    assert.equal(injections.counts.waiting, 0);
  });

  it('keeps its word whatever meters say: random bytes, cut answers, answers of others', async () => {
    const random = chanceOf(11);
    const injections = house.open({ responseTimeoutMs: 200 });
    const valid = JSON.stringify(records(2.5, 'METER001'));
    const noise = (): string => {
      const kind = random.whole(0, 3);
      if (kind === 0)
        return Buffer.from(Array.from({ length: 40 }, () => random.whole(0, 255))).toString('latin1');
      if (kind === 1) return valid.slice(0, random.whole(0, valid.length - 1));
      if (kind === 2) return valid.replace('METER001', 'METER002');
      const at = random.whole(0, valid.length - 1);
      return `${valid.slice(0, at)}\u0000${valid.slice(at + 1)}`;
    };
    let booked = 0;
    for (let n = 0; n < 25; n++) {
      const isAnswered = random.percent(50);
      house.onOrder = async () => {
        for (let i = 0; i < 20; i++) await house.say('METER001', noise());
        const answer = { status: 'success', injected_units: 2.5, credit_token: tokenOf(n) };
        if (isAnswered) await house.say('METER001', answer);
        return { status: 202 };
      };
      const { statusCode } = await injections.inject(
        { meter_number: 'METER001', credit_token: tokenOf(n) },
        'fuzz',
      );
      assert.equal(statusCode, isAnswered ? 200 : 504, `the answer to ${n}`);
      if (isAnswered) booked += 2.5;
    }
    const [row] = await house.rows(`select sum(injected_units)::float8 as units from token_injections`);
    assert.equal(row?.['units'], booked);
    assert.equal(await discrepancies(house.database.database), 0);
  });
});

function records(units: number, meter: string): object[] {
  return [
    { n: '1P-Energy-Meter', v: meter, t: Math.floor(Date.now() / 1000) },
    { n: 'injected-units', v: units, t: 0 },
    { n: 'credit-token-ack', v: 1, t: 0 },
  ];
}
