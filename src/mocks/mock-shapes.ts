import { localOffsetMs } from './load-profile.js';
import type { MockKind } from './mock-types.js';
import { drawn } from './seeded.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

const household = [
  0.1, 0.08, 0.08, 0.08, 0.1, 0.2, 0.45, 0.5, 0.3, 0.22, 0.2, 0.22, 0.3, 0.26, 0.2, 0.2, 0.28, 0.45, 0.75, 1,
  0.92, 0.62, 0.35, 0.17,
];

/** The part of the full load at each full hour of the local day; in between it is interpolated. */
const hourly: Record<MockKind, readonly number[]> = {
  // Follows the heat of the day, two hours behind the sun.
  hvac: [
    0.3, 0.27, 0.25, 0.24, 0.23, 0.24, 0.3, 0.38, 0.48, 0.6, 0.72, 0.83, 0.92, 0.97, 1, 1, 0.96, 0.88, 0.76,
    0.64, 0.54, 0.46, 0.4, 0.35,
  ],
  lighting: [
    0.35, 0.3, 0.3, 0.3, 0.32, 0.5, 0.55, 0.35, 0.2, 0.15, 0.12, 0.12, 0.12, 0.12, 0.14, 0.18, 0.3, 0.55, 0.9,
    1, 1, 0.95, 0.75, 0.5,
  ],
  server: Array.from({ length: 24 }, (_, hour) => (hour >= 8 && hour < 20 ? 0.95 : 0.88)),
  // Two shifts with their breaks; the night holds furnaces and compressors warm.
  industrial: [
    0.18, 0.18, 0.18, 0.18, 0.2, 0.35, 0.85, 0.95, 1, 0.98, 0.8, 0.97, 0.7, 0.95, 0.9, 0.98, 1, 0.95, 0.72,
    0.92, 0.9, 0.7, 0.3, 0.2,
  ],
  appliance: [
    0.06, 0.05, 0.05, 0.05, 0.06, 0.25, 0.7, 0.85, 0.5, 0.25, 0.15, 0.2, 0.4, 0.3, 0.15, 0.15, 0.25, 0.55,
    0.9, 1, 0.8, 0.45, 0.2, 0.1,
  ],
  sensor: Array.from({ length: 24 }, () => 0.95),
  meter: household,
  gateway: Array.from({ length: 24 }, (_, hour) => (hour >= 7 && hour < 22 ? 0.9 : 0.8)),
  controller: Array.from({ length: 24 }, () => 0.85),
  other: household,
};

/** Saturday and Sunday beside a working day. */
const weekend: Record<MockKind, readonly [saturday: number, sunday: number]> = {
  hvac: [0.85, 0.8],
  lighting: [0.95, 0.9],
  server: [0.97, 0.95],
  industrial: [0.5, 0.15],
  appliance: [0.95, 1],
  sensor: [1, 1],
  meter: [0.95, 1],
  gateway: [0.95, 0.9],
  controller: [0.9, 0.85],
  other: [1, 1],
};

/** The part of its full load that a device of this kind draws at `time` (Unix ms), between 0 and 1. */
export function usualPart(kind: MockKind, seed: number, time: number): number {
  const local = time + localOffsetMs;
  const hour = (((local / hourMs) % 24) + 24) % 24;
  const parts = hourly[kind];
  const from = parts[Math.floor(hour)] ?? 0;
  const to = parts[(Math.floor(hour) + 1) % 24] ?? 0;
  const day = Math.floor(local / dayMs);
  const weather = kind === 'hvac' ? 0.75 + 0.25 * drawn(seed, 'weather', day) : 1;
  return (from + (to - from) * (hour % 1)) * ofWeek(kind, day) * weather;
}

/** 1 January 1970 was a Thursday. */
function ofWeek(kind: MockKind, day: number): number {
  const weekday = (((day + 4) % 7) + 7) % 7;
  if (weekday === 6) return weekend[kind][0];
  return weekday === 0 ? weekend[kind][1] : 1;
}
