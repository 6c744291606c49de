/** What became of an injection. */
export type InjectionStatus = 'waiting' | 'success' | 'failed' | 'unanswered';
export const injectionStatuses = ['waiting', 'success', 'failed', 'unanswered'] as const;

/** How far it came: the subscription is granted; the vendor was asked, has taken it; the meter has answered. */
export type InjectionPhase = 'requested' | 'subscribed' | 'sent' | 'acknowledged' | 'answered';

/** Why a meter refuses a token. */
export type Refusal = 'used' | 'expired' | 'wrong_meter' | 'failed';

/** An injection as people see it ([H-11]). Times are RFC 3339 in UTC. */
export interface InjectionRecord {
  readonly id: string;
  /** As the caller wrote it. */
  readonly meter_number: string;
  readonly meter_id: string;
  readonly token_last4: string;
  readonly status: InjectionStatus;
  readonly phase: InjectionPhase;
  /** The error code of its answer; null while it waits, and of a success. */
  readonly code: string | null;
  readonly refusal: Refusal | null;
  /** A sentence for people. */
  readonly reason: string | null;
  readonly injected_units: number | null;
  /** The meter's answer as it sent it. */
  readonly answer: unknown;
  readonly vendor_status: number | null;
  readonly vendor_attempts: number;
  /** The meter answered after its time. */
  readonly late: boolean;
  readonly caller: string;
  readonly instance: string;
  readonly deadline_at: string;
  readonly requested_at: string;
  readonly subscribed_at: string | null;
  readonly sent_at: string | null;
  readonly acknowledged_at: string | null;
  readonly answered_at: string | null;
  readonly finished_at: string | null;
  /** Injections of the same token before this one. */
  readonly seen_before: number;
}
