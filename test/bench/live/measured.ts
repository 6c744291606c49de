/** Listeners of one address, told events at a rate. */
export interface LiveStep {
  readonly listeners: number;
  readonly eventsPerSecond: number;
  /** From the event's entry into Node-RED to the last listener that it reached; ms. */
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  /** Messages that never came, of events × listeners. */
  readonly missed: number;
  readonly messages: number;
  /** Of Node-RED's process. */
  readonly cores: number;
}

export interface LiveEntry {
  readonly name: string;
  readonly steps: readonly LiveStep[];
}

/** Events of one process that a listener of another hears through Redis. */
export interface RelayStep {
  readonly eventsPerSecond: number;
  readonly arrivedPerSecond: number;
  readonly missed: number;
  readonly p50: number | null;
  readonly p95: number | null;
}

export interface LiveReport {
  readonly ours: LiveEntry;
  readonly stock: LiveEntry;
  readonly relay: readonly RelayStep[];
}
