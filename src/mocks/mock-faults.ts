import { drawn } from './seeded.js';

/**
 * What goes wrong now and then. outage: no supply; low_voltage: a weak feeder; overload: more than the full load;
 * idle: it stands still although it should run.
 */
export type FaultKind = 'outage' | 'low_voltage' | 'overload' | 'idle';

/** Some quarters of an hour of one day, counted from 1970 in UTC. */
export interface Fault {
  readonly kind: FaultKind;
  readonly from: number;
  readonly to: number;
}

const quartersOfDay = 96;
/** One day of twelve has a fault. */
const daysPart = 1 / 12;
const quartersMax = 4;

/** What each does to power and voltage. */
export const faultEffects = {
  outage: { power: 0, voltage: 0 },
  low_voltage: { power: 0.72, voltage: 0.82 },
  overload: { power: 1.3, voltage: 0.96 },
  idle: { power: 0.03, voltage: 1 },
} as const satisfies Record<FaultKind, { readonly power: number; readonly voltage: number }>;

/** The fault of a device on a day (counted from 1970), the same for the same seed; most days have none. */
export function faultOf(seed: number, id: string, day: number): Fault | null {
  const draw = drawn(seed, id, `fault ${day}`);
  if (draw >= daysPart) return null;
  const share = draw / daysPart;
  const kind: FaultKind =
    share < 0.2 ? 'outage' : share < 0.55 ? 'low_voltage' : share < 0.8 ? 'overload' : 'idle';
  const from = Math.floor(drawn(seed, id, `fault from ${day}`) * (quartersOfDay - quartersMax));
  const length = 1 + Math.floor(drawn(seed, id, `fault length ${day}`) * quartersMax);
  const first = day * quartersOfDay + from;
  return { kind, from: first, to: first + length };
}
