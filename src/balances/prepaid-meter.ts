/** A prepaid meter at a glance. Energy in units, times RFC 3339 in UTC. */
export interface PrepaidMeter {
  readonly meter_id: string;
  readonly name: string | null;
  readonly drn: string | null;
  readonly tariff_plan: string;
  readonly online: boolean;
  readonly last_seen_at: string | null;
  /** Of the ledger; null: nothing was ever paid or consumed. */
  readonly balance: number | null;
  readonly updated_at: string | null;
  readonly low: boolean;
  /** What the meter last said of itself, whichever message said it. */
  readonly meter_balance: number | null;
  readonly meter_balance_at: string | null;
  /** [P-7]: on when the meter's own balance is above 0; null: it never said. */
  readonly relay: 'on' | 'off' | null;
  /** Of the last status message ([M-3]). */
  readonly status: string | null;
  readonly status_message: string | null;
  readonly status_at: string | null;
  readonly wifi_rssi: number | null;
  /** How far the newest balance command has come; null: none was ever wanted. */
  readonly command: 'waiting' | 'sent' | 'confirmed' | null;
  readonly command_at: string | null;
  readonly command_attempts: number;
  readonly drifting: boolean;
}

export interface BalancePoint {
  readonly at: string;
  readonly balance: number;
}

/** An episode in which a meter disagreed with the ledger. */
export interface Drift {
  readonly id: number;
  readonly meter_id: string;
  readonly ledger_balance: number;
  readonly meter_balance: number;
  /** How often it said so. */
  readonly occurrences: number;
  readonly first_at: string;
  readonly last_at: string;
  /** null: it still does. */
  readonly resolved_at: string | null;
}

export interface MeterTotals {
  /** Meters with a balance. */
  readonly prepaid: number;
  readonly low: number;
  /** Balance commands that no meter has confirmed yet. */
  readonly commands_open: number;
  readonly drifts_open: number;
}
