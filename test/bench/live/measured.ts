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
  readonly loss: LiveLoss;
  /** Of Node-RED's process. */
  readonly cores: number;
  /** Its memory while events flow, the most. */
  readonly memoryMiB: number;
}

/** What became of events that did not come, or came twice; by listener and event. */
export interface LiveLoss {
  readonly doubled: number;
  /** Missed, and the listener was told so. */
  readonly told: number;
  /** Missed, and nobody said it. */
  readonly silent: number;
  /** Listeners that were sent away, by what was said to them. */
  readonly dropped: Readonly<Record<string, number>>;
}

export interface LiveEntry {
  readonly name: string;
  readonly steps: readonly LiveStep[];
}

/** Events of one gateway that listeners of another hear through Redis, each gateway a process of its own. */
export interface RelayStep {
  readonly listeners: number;
  readonly eventsPerSecond: number;
  readonly arrivedPerSecond: number;
  readonly missed: number;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly loss: LiveLoss;
  /** Of the gateway that tells, and of the one that hears. */
  readonly cores: readonly [telling: number, hearing: number];
  readonly memoryMiB: readonly [telling: number, hearing: number];
}

export interface LiveReport {
  readonly ours: LiveEntry;
  readonly stock: LiveEntry;
  readonly relay: readonly RelayStep[];
  /** By how much a gateway alone in its process grows with each listener that hears nothing yet. */
  readonly kbPerListener: number;
  /** Cores that other programs kept busy, on average. */
  readonly othersCores: number;
}
