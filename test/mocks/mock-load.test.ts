import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { faultOf } from '../../src/mocks/mock-faults.js';
import { MockLoad } from '../../src/mocks/mock-load.js';
import { mockRatings } from '../../src/mocks/mock-types.js';
import { quarterIndex, quarterMs } from '../../src/mocks/load-profile.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** A Monday, 00:00 in the place of the demo (UTC+3). */
const monday = Date.parse('2026-11-15T21:00:00Z');

function load(type: string, more: Partial<ConstructorParameters<typeof MockLoad>[0]> = {}): MockLoad {
  return new MockLoad({
    seed: 1,
    id: `mock-real-${type}`,
    type,
    base_power: null,
    base_voltage: null,
    ...more,
  });
}

/** Mean power in kW over many devices, so that noise and faults level out. */
function meanKw(type: string, from: number, hours: number): number {
  let energy = 0;
  for (let device = 0; device < 60; device += 1)
    energy += load(type, { id: `mock-real-${device}` }).energyBetween(from, from + hours * hourMs);
  return energy / 10_000 / hours / 60;
}

describe('The load of a mock', () => {
  for (const [type, power, voltage] of [
    ['hvac', 25, 240],
    ['lighting', 8.5, 240],
    ['server', 45, 240],
    ['industrial', 120, 480],
    ['appliance', 15, 240],
    ['sensor', 2, 12],
    ['meter', 5, 240],
    ['gateway', 10, 240],
    ['controller', 12, 240],
    ['windmill', 5, 240],
    ['constructor', 5, 240],
  ] as const)
    it(`of type ${type} is ${power} kW at ${voltage} V, unless the device states others`, () => {
      const usual = load(type);
      assert.deepEqual([usual.basePower, usual.baseVoltage], [power, voltage]);
      const stated = load(type, { base_power: 0, base_voltage: 110.5 });
      assert.deepEqual([stated.basePower, stated.baseVoltage], [0, 110.5]);
      assert.equal(stated.energyBetween(monday, monday + dayMs), 0);
    });

  for (const file of ['docs/protocol.md', 'nodes/locales/en-US/mock-device.html'])
    it(`is told in ${file} as it is`, () => {
      const text = readFileSync(resolve(__dirname, '../..', file), 'utf8');
      for (const [type, { power, voltage }] of Object.entries(mockRatings)) {
        const row = new RegExp(
          `(?:\\| |<td>)${type}(?: \\| |</td>\\s*<td>)([\\d.]+)(?: \\| |</td>\\s*<td>)(\\d+)(?: \\| |</td>)`,
        );
        const [, kw, volts] = row.exec(text) ?? assert.fail(`no row of ${type}`);
        assert.deepEqual([Number(kw), Number(volts)], [power, voltage], type);
      }
    });

  it('is the same for the same seed, device and time, and another for another seed or device', () => {
    const week = (more: object): number[] =>
      Array.from({ length: 7 * 96 }, (_, i) => load('hvac', more).energyOf(quarterIndex(monday) + i));
    assert.deepEqual(week({}), week({}));
    assert.notDeepEqual(week({}), week({ seed: 2 }));
    assert.notDeepEqual(week({}), week({ id: 'mock-real-2' }));
  });

  it('adds up exactly, wherever the time is divided: a restart makes no jump', () => {
    const [from, to] = [monday + 123_457, monday + 3 * dayMs + 999];
    for (const type of Object.keys(mockRatings)) {
      const whole = load(type).energyBetween(from, to);
      let pieces = 0;
      let at = from;
      for (let step = 1; at < to; step = (step * 7919) % 5_400_000) {
        const next = Math.min(to, at + step + 1);
        pieces += load(type).energyBetween(at, next);
        at = next;
      }
      assert.equal(pieces, whole, type);
      assert.ok(whole > 0);
    }
    assert.equal(load('hvac').energyBetween(to, from), 0, 'a clock that was put back');
  });

  it('stays within the full load, and above it in an overload only', () => {
    for (const [type, { power }] of Object.entries(mockRatings))
      for (let device = 0; device < 20; device += 1) {
        const one = load(type, { id: `mock-real-${device}` });
        for (let time = monday; time < monday + 7 * dayMs; time += quarterMs + 1_000) {
          const most = power * (one.faultAt(time) === 'overload' ? 1.3 : 1) * 1.03 + 0.001;
          const kw = one.powerAt(time);
          assert.ok(kw >= 0 && kw <= most, `${type} draws ${kw} kW of ${power}`);
        }
      }
  });

  it('has a day and a week that are true to the type', () => {
    const at = (type: string, hour: number, day = 0) => meanKw(type, monday + day * dayMs + hour * hourMs, 2);
    const saturday = 5;
    assert.ok(at('hvac', 14) > 2.5 * at('hvac', 4), 'cooling follows the heat of the day');
    assert.ok(at('lighting', 19) > 4 * at('lighting', 12), 'light is of the evening');
    assert.ok(at('server', 14) < 1.2 * at('server', 3), 'a server never rests');
    assert.ok(at('industrial', 9) > 4 * at('industrial', 2), 'a factory rests at night');
    assert.ok(at('industrial', 9) > 4 * at('industrial', 9, saturday + 1), 'and on Sunday');
    assert.ok(at('appliance', 19) > 3 * at('appliance', 14) && at('appliance', 7) > 2 * at('appliance', 14));
    assert.ok(at('meter', 19) > 2.5 * at('meter', 11), 'a household peaks in the evening');
    assert.ok(Math.abs(at('sensor', 2) / at('sensor', 14) - 1) < 0.1, 'a sensor is flat');
  });

  it('sags with the load, and has a worse power factor without one', () => {
    const volts = { high: 0, low: 0, highs: 0, lows: 0, factorHigh: 0, factorLow: 0 };
    for (let device = 0; device < 30; device += 1) {
      const one = load('industrial', { id: `mock-real-${device}` });
      for (let time = monday; time < monday + 5 * dayMs; time += quarterMs) {
        if (one.faultAt(time) !== null) continue;
        const volt = one.voltageAt(time);
        const factor = one.powerFactorAt(time);
        assert.ok(volt > 0.93 * 480 && volt < 1.02 * 480, `${volt} V`);
        assert.ok(factor > 0.5 && factor <= 0.82, `${factor}`);
        const busy = one.powerAt(time) > 90;
        if (busy)
          [volts.high, volts.highs, volts.factorHigh] = [
            volts.high + volt,
            volts.highs + 1,
            volts.factorHigh + factor,
          ];
        else if (one.powerAt(time) < 30)
          [volts.low, volts.lows, volts.factorLow] = [
            volts.low + volt,
            volts.lows + 1,
            volts.factorLow + factor,
          ];
      }
    }
    assert.ok(volts.low / volts.lows - volts.high / volts.highs > 0.015 * 480);
    assert.ok(volts.factorHigh / volts.highs > volts.factorLow / volts.lows + 0.05);
  });

  it('has a fault now and then, of each kind, which shows in power and voltage', () => {
    const found = new Map<string, number>();
    const days = 400;
    for (let day = 0; day < days; day += 1)
      for (let device = 0; device < 10; device += 1) {
        const fault = faultOf(1, `mock-real-${device}`, day);
        if (fault === null) continue;
        found.set(fault.kind, (found.get(fault.kind) ?? 0) + 1);
        assert.ok(fault.from >= day * 96 && fault.to <= (day + 1) * 96 && fault.to > fault.from);
        const one = load('server', { id: `mock-real-${device}` });
        const time = fault.from * quarterMs + 1;
        assert.equal(one.faultAt(time), fault.kind);
        const [kw, volt] = [one.powerAt(time), one.voltageAt(time)];
        if (fault.kind === 'outage') assert.deepEqual([kw, volt], [0, 0]);
        if (fault.kind === 'low_voltage') assert.ok(volt < 0.85 * 240 && kw < 0.8 * 45);
        if (fault.kind === 'overload') assert.ok(kw > 45);
        if (fault.kind === 'idle') assert.ok(kw < 0.1 * 45 && volt > 220);
      }
    assert.deepEqual([...found.keys()].sort(), ['idle', 'low_voltage', 'outage', 'overload']);
    const part = [...found.values()].reduce((a, b) => a + b, 0) / (days * 10);
    assert.ok(part > 0.06 && part < 0.11, `${part} of the days have a fault`);
  });
});
