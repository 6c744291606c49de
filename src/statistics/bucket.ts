/** Statistics of one meter over one hour or day. Energy in kWh with at most 4 decimals; times are ISO 8601 in UTC. */
export interface BucketStatistics {
  readonly meter_id: string;
  readonly reading_count: number;
  readonly total_kwh: number;
  readonly avg_kwh: number;
  readonly min_kwh: number;
  readonly max_kwh: number;
}

/** [H-9] An hour of UTC, by its beginning. */
export interface HourStatistics extends BucketStatistics {
  readonly hour_bucket: string;
}

/** [H-9] A day of a time zone, by its beginning and by its date. */
export interface DayStatistics extends BucketStatistics {
  readonly day_bucket: string;
  /** 2026-11-20, in that time zone. */
  readonly date: string;
}

/** [H-9] All readings of a user that are still kept. */
export interface ReadingTotals {
  readonly total_kwh: number;
  readonly unminted_kwh: number;
  readonly minted_kwh: number;
  readonly total_readings: number;
  readonly unminted_readings: number;
  readonly minted_readings: number;
}

/** What both lists can be sorted by besides the time, which is the default. */
const figures = ['reading_count', 'total_kwh', 'avg_kwh', 'min_kwh', 'max_kwh'] as const;
export const hourSorts = ['hour_bucket', ...figures] as const;
export const daySorts = ['day_bucket', ...figures] as const;
export type BucketSort = (typeof hourSorts)[number] | (typeof daySorts)[number];
