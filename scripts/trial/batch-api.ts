/**
 * The part of scripts/test-batch-api.sh that does it: registers meters, hands in their readings as one batch, waits for
 * its job, hands the same in again, and compares what is stored with what was sent.
 */
import { randomUUID } from 'node:crypto';
import { trialHouse, type TrialHouse } from './house.js';
import { readingsOf, trialPlan, withMeters, type TrialReading } from './meters.js';
import { storedProblems, tableProblems } from './stored.js';
import { conclude } from './verdict.js';

interface Batch {
  readonly job_id: string;
  readonly total_submitted: number;
  readonly successful: number;
  readonly failed: number;
  readonly errors: readonly { readonly index: number; readonly error: string }[];
  readonly state: string;
  readonly attempts: number;
  readonly stored: number;
}

const path = '/api/meters/submit-readings-batch';

void conclude(() => {
  const house = trialHouse();
  const plan = trialPlan();
  return withMeters(house, plan, async (meters) => {
    const sent = readingsOf(meters, plan.readings);
    const key = randomUUID();
    const first = await submit(house, sent, key);
    const again = await submit(house, sent, key);
    const anew = await submit(house, sent);
    const wrong = await submit(house, withFaults(sent));
    return [
      ...countProblems('the batch', first, { sent: sent.length, stored: sent.length, failed: [] }),
      ...(again.job_id === first.job_id ? [] : ['the same Idempotency-Key made another batch']),
      ...countProblems('the same readings anew', anew, {
        sent: sent.length,
        stored: sent.length,
        failed: [],
      }),
      ...countProblems('a batch with two faults', wrong, {
        sent: 3,
        stored: 1,
        failed: ['0 SCHEMA_INVALID', '2 KWH_OUT_OF_RANGE'],
      }),
      ...(await storedProblems(house, meters, sent)),
      ...(await tableProblems(meters, sent)),
    ];
  });
});

/** Hands a batch in, and waits until its job has ended. */
async function submit(house: TrialHouse, readings: readonly object[], key?: string): Promise<Batch> {
  const begun = performance.now();
  const { job_id } = await house.ask<Batch>(
    'POST',
    path,
    { readings },
    {
      good: [202],
      headers: key === undefined ? {} : { 'idempotency-key': key },
    },
  );
  const accepted = Math.round(performance.now() - begun);
  const batch = await house.until(`the batch ${job_id} has not ended`, async () => {
    const now = await house.ask<Batch>('GET', `/api/meters/batches/${job_id}`);
    return now.state === 'done' || now.state === 'failed' ? now : undefined;
  });
  const { state, attempts, stored, failed } = batch;
  const ended = Math.round(performance.now() - begun);
  process.stdout.write(
    `${readings.length} readings: accepted after ${accepted} ms, ${state} after ${ended} ms and ${attempts} attempts: ` +
      `${stored} stored, ${failed} refused\n`,
  );
  return batch;
}

/** One that was stored before, between one that says nothing and one that says too much. */
function withFaults([good]: readonly TrialReading[]): object[] {
  const { device_signature: _unsigned, ...plain } = good as TrialReading;
  return [{ meter_id: plain.meter_id }, good as TrialReading, { ...plain, kwh_amount: 4000 }];
}

function countProblems(
  what: string,
  batch: Batch,
  wanted: { readonly sent: number; readonly stored: number; readonly failed: readonly string[] },
): string[] {
  const found = {
    state: batch.state,
    total_submitted: batch.total_submitted,
    successful: batch.successful,
    stored: batch.stored,
    failed: batch.errors.map(({ index, error }) => `${index} ${error}`).join(', '),
  };
  const right = {
    state: 'done',
    total_submitted: wanted.sent,
    successful: wanted.stored,
    stored: wanted.stored,
    failed: wanted.failed.join(', '),
  };
  return (Object.keys(right) as (keyof typeof right)[])
    .filter((field) => found[field] !== right[field])
    .map((field) => `${what}: ${field} is ${found[field]}, not ${right[field]}`);
}
