import type { Reading } from './reading.js';

/** Readings by meter, to find one that is in another's way. Linear in the readings of one meter: a batch bounds them. */
export interface Neighbourhood {
  /** The first reading added that is of the same instant, or closer than the spacing. */
  find(reading: Reading): Reading | null;
  add(reading: Reading): void;
}

export function createNeighbourhood(spacingSeconds: number): Neighbourhood {
  const spacingMs = spacingSeconds * 1000;
  const meters = new Map<string, Reading[]>();
  return {
    find({ meter_id, time }) {
      for (const other of meters.get(meter_id) ?? []) {
        if (other.time === time || Math.abs(other.time - time) < spacingMs) return other;
      }
      return null;
    },
    add(reading) {
      const readings = meters.get(reading.meter_id);
      if (readings === undefined) meters.set(reading.meter_id, [reading]);
      else readings.push(reading);
    },
  };
}

/**
 * `first` can be inserted by one statement, which does not see its own rows; each of `later` is in the way of one that
 * arrived before it.
 */
export function partByNeighbours<T extends { readonly reading: Reading }>(
  rows: readonly T[],
  spacingSeconds: number,
): { first: T[]; later: T[] } {
  const neighbourhood = createNeighbourhood(spacingSeconds);
  const first: T[] = [];
  const later: T[] = [];
  for (const row of rows) {
    (neighbourhood.find(row.reading) === null ? first : later).push(row);
    neighbourhood.add(row.reading);
  }
  return { first, later };
}
