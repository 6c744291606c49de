import type { LineState } from './meter-line.js';
import type { Status } from './prepaid-messages.js';
import type { Relay } from './relay.js';

export interface VirtualMeterState extends LineState {
  readonly meter_id: string;
  /** Readings that the broker acknowledged since the start. */
  readonly acknowledged: number;
  /** Readings not yet acknowledged. */
  readonly waiting: number;
  /** What flows: 0 while the relay is off or the meter is paused. */
  readonly power_kw: number;
  readonly last: { readonly kwh_amount: number; readonly reading_timestamp: string } | null;
  /** In units; null: not known (yet), or not a prepaid meter. */
  readonly balance: number | null;
  readonly relay: Relay;
  /** As last said on `smartmeter/{m}/status`; null: not a prepaid meter. */
  readonly status: Status['status'] | null;
  /** dBm */
  readonly rssi: number;
  /** Units consumed since the last boot. */
  readonly session_total: number;
  /** Consumption reports not yet acknowledged. */
  readonly buffered: number;
  /** The customer's main switch is off: nothing is drawn. */
  readonly paused: boolean;
}

/** What can be done to a meter by hand. */
export const meterCommands = ['pause', 'resume', 'cut', 'restore', 'reboot'] as const;
export type MeterCommand = (typeof meterCommands)[number];
