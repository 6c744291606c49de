/**
 * waiting: the service has not said yes or no. minted: it has, and the reading says so. refused: it said no to this
 * reading. abandoned: it said nothing until the deadline.
 */
export const mintStates = ['waiting', 'minted', 'refused', 'abandoned'] as const;
export type MintState = (typeof mintStates)[number];

/** A reading on its way to the minting service ([H-16]), as the API shows it. */
export interface MintRequest {
  readonly id: string;
  readonly reading_id: number;
  readonly meter_id: string;
  readonly reading_timestamp: string;
  readonly user_id: string | null;
  readonly wallet_address: string;
  /** kWh. */
  readonly kwh_amount: number;
  readonly idempotency_key: string;
  readonly state: MintState;
  /** The service may have minted it: it is asked before anything is sent again. */
  readonly in_doubt: boolean;
  readonly attempts: number;
  /** Why it has not been minted yet, for people. */
  readonly reason: string | null;
  readonly tx_signature: string | null;
  readonly caller: string;
  readonly requested_at: string;
  /** Of the next attempt; null when there is none. */
  readonly next_at: string | null;
  readonly deadline_at: string;
  readonly finished_at: string | null;
}

/** A reading that was minted; `amount` in kWh. What MeterReadingMinted tells ([L-1]). */
export interface Minted {
  readonly reading_id: number;
  readonly tx_signature: string;
  readonly amount: number;
  readonly meter_id: string;
  readonly user_id: string | null;
  readonly wallet_address: string;
}

/** What goes to the service: the whole meaning of an idempotency key. */
export interface MintOrder {
  readonly idempotency_key: string;
  readonly reading_id: number;
  readonly meter_id: string;
  readonly reading_timestamp: string;
  readonly wallet_address: string;
  /** kWh, at most 4 decimals. */
  readonly kwh_amount: number;
}

/** What whoever asks for a mint hears: 200 when it is minted, 202 as long as it is not. */
export interface MintAnswer {
  readonly reading_id: number;
  readonly state: MintState;
  readonly tx_signature: string | null;
  /** Null: it was minted without us. */
  readonly request: MintRequest | null;
}
