import type { Channel } from './notice.js';

/** What became of a notice. `duplicate`: it was known before, and nothing has changed. */
export type Outcome = 'accepted' | 'suspense' | 'failed' | 'disputed' | 'duplicate';

/** Why something was disputed, failed or kept in suspense, by code. */
export type Reason =
  | 'RECEIPT_MISSING'
  | 'AMOUNT_INVALID'
  /** The same receipt came before with another amount. */
  | 'RECEIPT_MISMATCH'
  /** One prompt, credited twice: once by asking, once by a receipt that did not look like it. */
  | 'PAID_TWICE'
  | 'SHORT_CODE'
  /** No prompt of ours has this checkout_request_id. */
  | 'PROMPT_UNKNOWN'
  /** The prompt had ended otherwise. */
  | 'PROMPT_CLOSED'
  | 'AMOUNT_MISMATCH'
  | 'PHONE_MISMATCH'
  | 'METER_UNKNOWN'
  /** The meter is known, but nothing could be sold; the log says why. */
  | 'SALE_FAILED';

/** A payment as it leaves the flow: field by field what GET /api/payments lists, and what it did. Times are RFC 3339. */
export interface Payment {
  readonly outcome: Outcome;
  /** Of the row that was made, or was there before; null when a duplicate names none. */
  readonly id: number | null;
  readonly channel: Channel;
  readonly receipt: string | null;
  readonly amount: number | null;
  readonly currency: string | null;
  /** As the payer wrote it. */
  readonly meter_number: string | null;
  readonly meter_id: string | null;
  /** As the provider sent it: in full, masked or hashed. */
  readonly phone: string | null;
  readonly result_code: string | null;
  readonly reason: string | null;
  readonly checkout_request_id: string | null;
  readonly paid_at: string | null;
  readonly received_at: string;
  /** What was bought, and what the meter has now; null when nothing was sold. */
  readonly units: number | null;
  readonly balance: number | null;
}
