/** Milliseconds of one question. */
export interface Times {
  readonly p50: number;
  readonly p95: number;
}

/** The same question, put to us and as a plain group by over the table. */
export interface Compared {
  readonly question: string;
  readonly ours: Times;
  readonly plain: Times;
}

export interface SeriesEntry {
  readonly rows: number;
  readonly meters: number;
  readonly tableMiB: number;
  /** What is written down beside the table. */
  readonly writtenMiB: number;
  readonly sealedRowsPerSecond: number;
  readonly compared: readonly Compared[];
  /** Storing a reading, microseconds, median of the sweeps: of today, and late in a day that is written down. */
  readonly freshMicroseconds: number;
  readonly lateMicroseconds: number;
}

export interface SeriesReport {
  readonly days: number;
  readonly entries: readonly SeriesEntry[];
}
