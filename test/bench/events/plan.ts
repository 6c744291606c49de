/** What a changing program is asked for; null: as fast as it goes, 20 at once. */
export interface ChangeOrder {
  /** Numbers of changes rise by one. */
  readonly first: number;
  readonly perSecond: number | null;
  readonly seconds: number;
}

export interface ChangeReport {
  readonly changes: number;
  readonly seconds: number;
}

export const devicesCount = 100;

/** By chance, but the same each time: some changes under way at once are of one device. */
export function deviceOf(number: number): string {
  return `D${(Math.imul(number, 2_654_435_761) >>> 16) % devicesCount}`;
}
