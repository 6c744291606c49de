/** What a device of a type draws and hangs on when it does not say so itself ([L-3]). */
export interface MockRating {
  /** kW at full load. */
  readonly power: number;
  /** V. */
  readonly voltage: number;
  /** At full load; what is less loaded has a worse one. */
  readonly powerFactor: number;
  /** How far a quarter of an hour strays from the usual one, as a part of it. */
  readonly noise: number;
}

export const mockRatings = {
  hvac: { power: 25, voltage: 240, powerFactor: 0.86, noise: 0.1 },
  lighting: { power: 8.5, voltage: 240, powerFactor: 0.95, noise: 0.04 },
  server: { power: 45, voltage: 240, powerFactor: 0.98, noise: 0.02 },
  industrial: { power: 120, voltage: 480, powerFactor: 0.82, noise: 0.12 },
  appliance: { power: 15, voltage: 240, powerFactor: 0.92, noise: 0.3 },
  sensor: { power: 2, voltage: 12, powerFactor: 1, noise: 0.02 },
  meter: { power: 5, voltage: 240, powerFactor: 0.95, noise: 0.2 },
  gateway: { power: 10, voltage: 240, powerFactor: 0.97, noise: 0.03 },
  controller: { power: 12, voltage: 240, powerFactor: 0.93, noise: 0.05 },
} as const satisfies Record<string, MockRating>;

export type MockKind = keyof typeof mockRatings | 'other';

/** Of every other type. */
const otherRating: MockRating = { power: 5, voltage: 240, powerFactor: 0.95, noise: 0.2 };

export function kindOf(type: string): MockKind {
  return Object.hasOwn(mockRatings, type) ? (type as MockKind) : 'other';
}

export function ratingOf(kind: MockKind): MockRating {
  return kind === 'other' ? otherRating : mockRatings[kind];
}
