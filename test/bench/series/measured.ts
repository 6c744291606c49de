/** Milliseconds of one question. */
export interface Times {
  readonly p50: number;
  readonly p95: number;
  readonly most: number;
}

/** The first time that a meter is asked of after everything was dropped from memory, and again afterwards. */
export interface ColdAndWarm {
  readonly cold: Times;
  readonly warm: Times;
  /** Of a warm one, ms of a core: its processes and PostgreSQL. */
  readonly cpuMs: number;
}

/** The same question over HTTP: to us, and to a plain server that groups the readings themselves. */
export interface Compared {
  readonly question: string;
  readonly asked: number;
  readonly ours: ColdAndWarm;
  readonly plain: ColdAndWarm;
}

export interface SeriesEntry {
  readonly rows: number;
  readonly meters: number;
  readonly fillSeconds: number;
  readonly tableMiB: number;
  /** What is written down beside the table. */
  readonly writtenMiB: number;
  readonly sealedRowsPerSecond: number;
  readonly compared: readonly Compared[];
  /** 30 days of all meters by day, straight in SQL: from the view and by grouping, ms, the best of a few. */
  readonly fleet: { readonly ours: number; readonly plain: number };
  readonly late: LateCost;
  /** Cores that other programs kept busy while questions were put. */
  readonly othersCores: number;
}

/** Storing a reading, microseconds, median of sweeps; and what it makes statistics cost. */
export interface LateCost {
  readonly readings: number;
  /** Readings of today, for which nothing is noted. */
  readonly freshMicroseconds: number;
  /** The same, late in a day that is written down. */
  readonly lateMicroseconds: number;
  /** Writing down anew what the late ones of one sweep changed, ms. */
  readonly upkeepMs: number;
  /** A materialized view by hour, made anew as plain systems do it, ms. */
  readonly refreshMs: number;
}

export interface SeriesReport {
  readonly days: number;
  readonly entries: readonly SeriesEntry[];
}
