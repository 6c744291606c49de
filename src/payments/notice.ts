/** How news of money comes to us. `query`: the provider's answer when we asked what became of a prompt. */
export type Channel = 'stk' | 'c2b' | 'query';

/**
 * What the provider says of one payment, whichever channel it came through. Amounts are texts with two decimals, times
 * Unix ms; null is what it did not say.
 */
export interface Notice {
  readonly channel: Channel;
  /** Whether money has moved. */
  readonly paid: boolean;
  readonly receipt: string | null;
  readonly amount: string | null;
  readonly short_code: string | null;
  /** As the payer wrote it; an STK result has none, its prompt knows the meter. */
  readonly meter_number: string | null;
  /** In full, masked or hashed. */
  readonly phone: string | null;
  readonly paid_at: number | null;
  readonly checkout_request_id: string | null;
  readonly result_code: string | null;
  readonly result_desc: string | null;
  /** What cannot be right whatever we know: such a notice is kept and credits nothing. */
  readonly flaw: Flaw | null;
  /** Of the body: one that credits nothing is kept once, too. */
  readonly sha256: string;
  /** The rest of what was said, kept as it came. */
  readonly details: Readonly<Record<string, unknown>>;
}

export type Flaw = 'RECEIPT_MISSING' | 'AMOUNT_INVALID';
