/** What so many mocks in one process take; the broker and the database are others. */
export interface MockCrowd {
  readonly name: string;
  readonly mocks: number;
  /** From the start of the process to the last CONNACK. */
  readonly onlineSeconds: number;
  readonly memoryMiB: number;
  /** Of one core. */
  readonly cpuShare: number;
  /** Telemetry that the broker took in, per second; wanted is a fifth of the mocks. */
  readonly telemetryPerSecond: number;
}

export interface MocksReport {
  readonly ours: readonly MockCrowd[];
  readonly peers: readonly MockCrowd[];
}
