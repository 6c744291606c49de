import type { Reading } from '../readings/reading.js';

/** A submission of many readings over HTTP, on its way to the store. */
export interface Batch {
  readonly job_id: string;
  readonly state: 'queued' | 'running' | 'retrying' | 'done' | 'failed';
  /** How often storing it was begun. */
  readonly attempts: number;
  readonly total_submitted: number;
  /** Valid, and not refused by the store so far; final when the state is done or failed. */
  readonly successful: number;
  readonly failed: number;
  /** Committed: stored now, or known before. */
  readonly stored: number;
  /** By index. */
  readonly errors: readonly BatchError[];
  /** RFC 3339. */
  readonly submitted_at: string;
  readonly finished_at: string | null;
}

/** What POST answers: judged, not yet stored. */
export type Acceptance = Pick<Batch, 'job_id' | 'total_submitted' | 'successful' | 'failed' | 'errors'>;

/** One reading that is not stored. */
export interface BatchError {
  /** Its place in the submission, from 0. */
  readonly index: number;
  readonly meter_id: string | null;
  /** A code of docs/errors.md. */
  readonly error: string;
  /** A sentence for people. */
  readonly reason: string;
}

/** A reading as the table keeps it: index, meter_id, device_id, user_id, ten-thousandths of a kWh, Unix ms. */
export type KeptReading = readonly [number, string, string | null, string | null, number, number];

export function keptReading({ part, meter_id, device_id, user_id, energy, time }: Reading): KeptReading {
  return [part, meter_id, device_id, user_id, energy, time];
}

/** @param received_at Unix ms: when the batch was submitted */
export function readingOf(kept: KeptReading, received_at: number): Reading {
  const [part, meter_id, device_id, user_id, energy, time] = kept;
  return {
    delivery: 0,
    part,
    meter_id,
    device_id,
    user_id,
    energy,
    time,
    source: 'batch',
    received_at,
    topic: '',
    qos: 0,
  };
}

export function byIndex(errors: readonly BatchError[]): BatchError[] {
  return [...errors].sort((one, other) => one.index - other.index);
}
