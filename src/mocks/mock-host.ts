import type { BrokerAddress } from './light-connection.js';
import type { MockDevice } from './mock-device.js';
import type { FaultKind } from './mock-faults.js';

/** What a mock shows of itself. */
export interface MockTelemetry {
  readonly id: string;
  readonly real_id: string;
  readonly name: string | null;
  readonly type: string;
  readonly online: boolean;
  readonly power_kw: number;
  readonly voltage_v: number;
  readonly power_factor: number;
  readonly energy_kwh: number;
  readonly fault: FaultKind | null;
}

/** What a mock needs of its world. */
export interface MockHost {
  readonly seed: number;
  /** False: it is silent but for its readings. */
  readonly sendsTelemetry: boolean;
  /** Unix ms. */
  now(): number;
  address(): BrokerAddress;
  opened(mock: MockDevice): void;
  closed(mock: MockDevice, reason: string): void;
  sent(): void;
  dropped(): void;
  measured(telemetry: MockTelemetry): void;
  warn(line: string): void;
}
