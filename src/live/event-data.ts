import type { Channel } from '../payments/notice.js';
import type { EventName } from './event.js';

/** What the shipped flows tell with each event ([L-1]). Energy in kWh or units, times RFC 3339 in UTC. */
export interface DataOf extends Readonly<Record<EventName, object>> {
  readonly MeterReadingSubmitted: {
    readonly meter_id: string;
    readonly user_id: string | null;
    readonly kwh_amount: number;
    readonly timestamp: string;
    /** mqtt, http or batch. */
    readonly source: string;
  };
  readonly MeterReadingMinted: {
    readonly reading_id: number;
    readonly tx_signature: string;
    /** kWh. */
    readonly amount: number;
    readonly meter_id: string | null;
  };
  readonly BalanceChanged: {
    readonly meter_id: string;
    /** Of the meter after it. */
    readonly balance: number;
    readonly updated_at: string;
    readonly reason: BalanceReason;
    /** What it gained; negative: lost. */
    readonly units: number | null;
    /** Of consumption: whether little is left. */
    readonly low?: boolean;
  };
  readonly PaymentReceived: {
    readonly receipt: string | null;
    readonly amount: number | null;
    readonly currency: string | null;
    /** Null: in suspense. */
    readonly meter_id: string | null;
    readonly status: 'accepted' | 'suspense';
    readonly channel: Channel;
    readonly units: number | null;
    readonly paid_at: string | null;
    readonly received_at: string;
  };
  readonly TokenInjected: {
    readonly injection_id: string;
    readonly meter_id: string;
    readonly injected_units: number;
    /** The meter answered after nobody waited any more. */
    readonly late: boolean;
    readonly finished_at: string;
  };
  readonly DeviceStatus: ConnectionStatus | SaidStatus;
}

export const balanceReasons = ['consumption', 'payment', 'allocation', 'reversal', 'token'] as const;
export type BalanceReason = (typeof balanceReasons)[number];

/** A device came or went. */
export interface ConnectionStatus {
  readonly meter_id: string;
  readonly device_id: string | null;
  readonly status: 'connected' | 'disconnected';
  /** Why. */
  readonly message: string | null;
  readonly at: string;
}

/** What a meter says of itself ([M-3]). */
export interface SaidStatus {
  readonly meter_id: string;
  readonly status: string;
  readonly message: string | null;
  readonly balance: number | null;
  /** dBm. */
  readonly wifi_rssi: number | null;
  /** As the meter wrote it. */
  readonly timestamp: string | number | null;
  readonly at: string;
}
