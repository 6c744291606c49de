import assert from 'node:assert/strict';
import {
  energyOf,
  energyToday,
  loadOf,
  powerAt,
  quarterEnd,
  quarterIndex,
  quartersEnded,
  voltageAt,
} from '../../src/mocks/load-profile.js';

const noon = Date.parse('2026-11-20T12:00:00Z');

describe('The load profile of a virtual meter', () => {
  it('gives the same energy for the same seed, meter and quarter, and another for another seed', () => {
    const quarters = quartersEnded(noon, 24);
    const day = (seed: number) => quarters.map((q) => energyOf(loadOf(seed, 'DEMO-01'), q));
    assert.deepEqual(day(7), day(7));
    assert.notDeepEqual(day(7), day(8));
  });

  it('stays valid for the rules of a reading: whole ten-thousandths, above 0, at most 100 kWh', () => {
    for (let meter = 1; meter <= 200; meter += 1) {
      const load = loadOf(1, `DEMO-${meter}`);
      for (const quarter of quartersEnded(noon, 24)) {
        const energy = energyOf(load, quarter);
        assert.ok(Number.isInteger(energy) && energy > 0 && energy <= 1_000_000, `${load.kind} ${energy}`);
      }
    }
  });

  it('knows households, shops and mills, and a household peaks in the evening', () => {
    const loads = Array.from({ length: 60 }, (_, i) => loadOf(1, `DEMO-${i}`));
    assert.deepEqual([...new Set(loads.map((load) => load.kind))].sort(), ['household', 'mill', 'shop']);
    const household = loads.find((load) => load.kind === 'household') ?? assert.fail('no household');
    const evening = energyOf(household, quarterIndex(Date.parse('2026-11-20T16:30:00Z')));
    const night = energyOf(household, quarterIndex(Date.parse('2026-11-20T00:00:00Z')));
    assert.ok(evening > 3 * night, `${evening} in the evening, ${night} at night`);
  });

  it('counts the 96 quarters of the last day, ended ones only, each stamped with its end', () => {
    const quarters = quartersEnded(noon + 1, 24);
    assert.equal(quarters.length, 96);
    assert.equal(quarterEnd(quarters[95] ?? 0), noon);
    assert.equal(quarterEnd(quarters[0] ?? 0), noon - 95 * 15 * 60_000);
    assert.equal(quarterEnd(quartersEnded(noon - 1, 24)[95] ?? 0), noon - 15 * 60_000);
  });

  it('shows a power that belongs to the energy of its quarter, and a voltage near 240 V', () => {
    const load = loadOf(3, 'DEMO-02');
    const mean = energyOf(load, quarterIndex(noon)) / 2_500;
    for (let second = 0; second < 900; second += 60) {
      assert.ok(Math.abs(powerAt(load, noon + second * 1000) / mean - 1) <= 0.11);
      assert.ok(Math.abs(voltageAt(load, noon + second * 1000) - 240) < 12);
    }
  });

  it('counts the energy of a local day up from midnight in East Africa', () => {
    const load = loadOf(3, 'DEMO-02');
    const midnight = Date.parse('2026-11-20T21:00:00Z');
    assert.equal(energyToday(load, midnight), 0);
    const day = Array.from({ length: 96 }, (_, i) => energyOf(load, quarterIndex(midnight) + i));
    const total = day.reduce((sum, energy) => sum + energy, 0) / 10_000;
    assert.ok(Math.abs(energyToday(load, midnight + 96 * 15 * 60_000 - 1) - total) < 0.01);
  });
});
