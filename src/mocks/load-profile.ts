/**
 * What a simulated meter consumes. Every value is a function of seed, meter and time alone, so that a meter that is
 * started again sends exactly what it sent before: the store answers `duplicate`, and nothing is counted twice.
 */

import { drawn } from './seeded.js';

export type LoadKind = 'household' | 'shop' | 'mill';

export interface Load {
  readonly seed: number;
  readonly meterId: string;
  readonly kind: LoadKind;
  /** This connection's size beside others of its kind, 0.7 … 1.3. */
  readonly scale: number;
}

export const quarterMs = 15 * 60 * 1000;

/** Morning and evening belong to the place: the demo's tariff and people are in East Africa, which has no summer time. */
export const localOffsetMs = 3 * 60 * 60 * 1000;

/** Mean power in kW at each full hour of the local day; the power between two hours is interpolated. */
const hourlyKw: Record<LoadKind, readonly number[]> = {
  household: [
    0.12, 0.1, 0.1, 0.1, 0.12, 0.25, 0.55, 0.6, 0.35, 0.25, 0.22, 0.25, 0.35, 0.3, 0.22, 0.22, 0.3, 0.5, 0.9,
    1.2, 1.1, 0.75, 0.4, 0.2,
  ],
  shop: [
    0.3, 0.3, 0.3, 0.3, 0.3, 0.35, 0.6, 1.1, 1.7, 2.0, 2.2, 2.4, 2.4, 2.4, 2.4, 2.3, 2.3, 2.4, 2.5, 2.2, 1.4,
    0.6, 0.35, 0.3,
  ],
  mill: [
    0.2, 0.2, 0.2, 0.2, 0.2, 0.4, 2.5, 7.0, 9.0, 9.5, 9.5, 9.0, 4.0, 8.0, 9.5, 9.5, 9.0, 6.0, 1.5, 0.4, 0.2,
    0.2, 0.2, 0.2,
  ],
};

/** The nominal voltage of a single-phase connection. */
const nominalVolts = 240;

export function loadOf(seed: number, meterId: string): Load {
  const draw = drawn(seed, meterId, -1);
  const kind = draw < 0.6 ? 'household' : draw < 0.85 ? 'shop' : 'mill';
  return { seed, meterId, kind, scale: 0.7 + 0.6 * drawn(seed, meterId, -2) };
}

/** The quarter hour that `time` (Unix ms) lies in, counted from 1970. Quarter `q` ends at `quarterEnd(q)`. */
export function quarterIndex(time: number): number {
  return Math.floor(time / quarterMs);
}

/** Unix ms of the end of a quarter: the timestamp of its reading. */
export function quarterEnd(index: number): number {
  return (index + 1) * quarterMs;
}

/** The quarters that were over at `now` and are not older than `hours`, oldest first. */
export function quartersEnded(now: number, hours: number): number[] {
  const last = quarterIndex(now) - 1;
  return Array.from({ length: hours * 4 }, (_, i) => last - hours * 4 + 1 + i);
}

/** Energy of one quarter in whole ten-thousandths of a kWh; always at least one, as a reading of 0 is not valid. */
export function energyOf(load: Load, index: number): number {
  const middle = index * quarterMs + quarterMs / 2;
  const noise = 0.75 + 0.5 * drawn(load.seed, load.meterId, index);
  return Math.max(1, Math.round(meanKw(load, middle) * noise * 0.25 * 10_000));
}

/** Power in kW at an instant: the quarter's mean with a flutter that changes every second. */
export function powerAt(load: Load, time: number): number {
  const mean = energyOf(load, quarterIndex(time)) / 2_500;
  const flutter = 0.9 + 0.2 * drawn(load.seed, load.meterId, Math.floor(time / 1000) + 0.5);
  return Math.round(mean * flutter * 1_000) / 1_000;
}

/** Volts at an instant: a weak feeder sags a little under load. */
export function voltageAt(load: Load, time: number): number {
  const drift = 4 * (drawn(load.seed, load.meterId, Math.floor(time / 60_000) + 0.25) - 0.5);
  return Math.round((nominalVolts + drift - 0.6 * powerAt(load, time)) * 10) / 10;
}

/** kWh since the last local midnight, the running quarter in proportion. */
export function energyToday(load: Load, time: number): number {
  const dayMs = 96 * quarterMs;
  const midnight = Math.floor((time + localOffsetMs) / dayMs) * dayMs - localOffsetMs;
  const running = quarterIndex(time);
  let energy = energyOf(load, running) * ((time - running * quarterMs) / quarterMs);
  for (let quarter = quarterIndex(midnight); quarter < running; quarter += 1)
    energy += energyOf(load, quarter);
  return Math.round(energy) / 10_000;
}

function meanKw(load: Load, time: number): number {
  const hour = ((((time + localOffsetMs) / 3_600_000) % 24) + 24) % 24;
  const kw = hourlyKw[load.kind];
  const from = kw[Math.floor(hour)] ?? 0;
  const to = kw[(Math.floor(hour) + 1) % 24] ?? 0;
  return load.scale * (from + (to - from) * (hour % 1));
}
