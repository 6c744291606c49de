import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { discrepancies } from '../balances/meters.js';
import { chanceOf, type Chance } from '../ledger/chance.js';
import { eventually } from '../support/eventually.js';
import { openInjectionHouse, tokenOf, type InjectionHouse } from './injection-house.js';

const metersMax = 40;
const tokensMax = 12;
const answerMs = 250;

describe('Meters whose answers name nothing', function () {
  this.timeout(120_000);
  let house: InjectionHouse;
  beforeEach(async () => {
    house = await openInjectionHouse();
  });
  afterEach(() => house.close());

  for (const seed of [1, 2, 3]) {
    it(`never make a success of a token that the meter has not booked, by chance ${seed} [T-2]`, async () => {
      const chance = chanceOf(seed);
      const meters = new Map<string, Meter>();
      for (let n = 0; n < metersMax; n++) {
        const name = `M${n}`;
        await house.register(name);
        // Every fourth has a system without a fault.
        meters.set(name, createMeter(house, name, chance, { isQuiet: n % 4 === 0 }));
      }
      house.onOrder = ({ meter_number, credit_token }) =>
        meters.get(meter_number)?.order(credit_token) ?? { status: 404 };
      const hasty = house.open({
        responseTimeoutMs: answerMs,
        // Their systems hand tokens over whenever they like.
        doubtFactor: 10_000,
        vendor: house.vendor({ attemptsMax: 1 }),
      });
      const patient = house.open({ responseTimeoutMs: 20_000 });
      const tokens = new Map<string, string>();
      const told = { success: 0, unanswered: 0, all: 0 };

      await Promise.all(
        [...meters].map(async ([name, meter], m) => {
          for (let n = 0; n < tokensMax; n++) {
            const token = tokenOf(m * tokensMax + n);
            const { statusCode, body } = await (meter.isQuiet ? patient : hasty).inject(
              { meter_number: name, credit_token: token },
              'crowd',
            );
            tokens.set(body.injection_id ?? '', token);
            if (statusCode === 200)
              assert.ok(meter.booked.has(token), `${name} has booked …${token.slice(-4)}`);
            if (meter.isQuiet) {
              assert.deepEqual([statusCode, body.injected_units], [200, meter.booked.get(token)]);
              continue;
            }
            told.all += 1;
            if (statusCode === 200) told.success += 1;
            if (statusCode === 504) told.unanswered += 1;
          }
        }),
      );
      // What is still under way completes records, as true as the answers at once.
      await eventually(() => assert.equal([...meters.values()].filter(({ busy }) => busy > 0).length, 0));
      await delay(0);

      const records = await house.rows(
        `select id, meter_id, status, injected_units::float8 as units from token_injections where status = 'success'`,
      );
      const sums = new Map<unknown, number>();
      for (const { id, meter_id, units } of records) {
        assert.ok(
          meters.get(String(meter_id))?.booked.has(tokens.get(String(id)) ?? ''),
          `record ${String(id)}`,
        );
        sums.set(meter_id, (sums.get(meter_id) ?? 0) + Number(units));
      }
      for (const [name, { booked }] of meters)
        assert.ok((sums.get(name) ?? 0) <= [...booked.values()].reduce((sum, one) => sum + one, 0), name);
      assert.equal(await discrepancies(house.database.database), 0);
      assert.ok(told.success > told.all / 20 && told.unanswered > told.all / 10, JSON.stringify(told));
    });
  }
});

interface Meter {
  readonly isQuiet: boolean;
  /** What the meter really took, with its units. */
  readonly booked: ReadonlyMap<string, number>;
  /** Tokens and answers on their way. */
  readonly busy: number;
  /** The system gets a token for it. */
  order(token: string): { status: number };
}

/** A meter behind a system that forgets tokens, holds them back, and breaks down behind them. */
function createMeter(
  house: InjectionHouse,
  name: string,
  chance: Chance,
  { isQuiet }: { readonly isQuiet: boolean },
): Meter {
  const booked = new Map<string, number>();
  const expired = new Set<string>();
  const hasClock = chance.percent(50);
  let answered: Promise<unknown> = Promise.resolve();
  let stamp = 0;
  let busy = 0;

  function after(ms: number, work: () => unknown): void {
    busy += 1;
    void delay(ms)
      .then(work)
      .finally(() => (busy -= 1));
  }

  function take(token: string): void {
    if (!isQuiet && chance.percent(10)) expired.add(token);
    const refuses = expired.has(token) ? 'expired' : null;
    // Few values, so that many answers are alike.
    const units = isQuiet ? booked.size + 1 : chance.pick([2, 2, 5, 7]);
    if (refuses === null) booked.set(token, units);
    const clock = hasClock || isQuiet ? { time: (stamp += 1) } : {};
    const answer =
      refuses === null
        ? { status: 'success', injected_units: units, ...clock }
        : { status: refuses, ...clock };
    const isLate = !isQuiet && chance.percent(15);
    const thinkMs = isLate ? chance.whole(answerMs, 3 * answerMs) : chance.whole(0, 30);
    const isTwice = !isQuiet && chance.percent(15);
    // A meter answers in order; and the same once more, after a reconnect.
    answered = answered.then(() => delay(thinkMs)).then(() => house.say(name, answer));
    after(0, () => answered);
    if (isTwice)
      after(thinkMs + chance.whole(31, 3 * answerMs), () => answered.then(() => house.say(name, answer)));
  }

  return {
    isQuiet,
    booked,
    get busy() {
      return busy;
    },
    order(token) {
      const now = chance.whole(0, 40);
      if (isQuiet) {
        after(now, () => take(token));
        return { status: 202 };
      }
      const act = chance.whole(1, 100);
      if (act <= 8) return { status: 202 };
      if (act <= 12) return { status: 422 };
      const isHeld = act <= 24;
      after(isHeld ? chance.whole(answerMs, 4 * answerMs) : now, () => take(token));
      return { status: act > 96 ? 500 : 202 };
    },
  };
}
