import { createSecretKey } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { canonicalString, hmacSignature } from '../../src/readings/signature.js';
import type { MeterLogin } from './load/publisher.js';
import { energyOf, timeOf, type ReadingPlan } from './load/reading-plan.js';

/** The worst of all batches, from the first byte of the request. */
export interface BatchTimes {
  readonly readings: number;
  readonly batches: number;
  readonly acceptedMs: number;
  readonly storedMs: number;
}

const readingsPerBatch = 1_000;
const deadlineMs = 30_000;

/** POSTs batches of 1,000 signed readings one after the other, and asks until each is stored. */
export async function measureBatches(
  url: string,
  meters: readonly MeterLogin[],
  plan: ReadingPlan,
  batches: number,
): Promise<BatchTimes> {
  const times: { acceptedMs: number; storedMs: number }[] = [];
  for (let turn = 0; turn < batches; turn += 1) {
    const body = JSON.stringify({ readings: readingsOf(meters, plan, turn) });
    times.push(await submit(url, body));
  }
  return {
    readings: readingsPerBatch,
    batches,
    acceptedMs: Math.round(Math.max(...times.map(({ acceptedMs }) => acceptedMs))),
    storedMs: Math.round(Math.max(...times.map(({ storedMs }) => storedMs))),
  };
}

/** From the end of the plan, where no load comes. */
function readingsOf(meters: readonly MeterLogin[], plan: ReadingPlan, turn: number): object[] {
  return Array.from({ length: readingsPerBatch }, (_, index) => {
    const { meterId, secret } = meters[index % meters.length] ?? { meterId: '' };
    const k = plan.readingsMax - 1 - turn * readingsPerBatch - index;
    const time = timeOf(plan, k);
    const reading = { meter_id: meterId, kwh_amount: energyOf(k) / 10_000, reading_timestamp: time };
    if (secret === undefined) return reading;
    const key = createSecretKey(Buffer.from(secret, 'hex'));
    return { ...reading, device_signature: hmacSignature(canonicalString(meterId, energyOf(k), time), key) };
  });
}

async function submit(url: string, body: string): Promise<{ acceptedMs: number; storedMs: number }> {
  const started = performance.now();
  const answer = await fetch(`${url}/api/meters/submit-readings-batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  const text = await answer.text();
  const acceptedMs = performance.now() - started;
  if (answer.status !== 202)
    throw new Error(`A batch was answered with ${answer.status}: ${text.slice(0, 300)}`);
  const { job_id } = JSON.parse(text) as { job_id: string };
  for (;;) {
    const job = await fetch(`${url}/api/meters/batches/${job_id}`);
    const { state, stored } = (await job.json()) as { state: string; stored: number };
    const storedMs = performance.now() - started;
    if (state === 'done' && stored === readingsPerBatch) return { acceptedMs, storedMs };
    if (state === 'done' || state === 'failed' || storedMs > deadlineMs) {
      throw new Error(`A batch is ${state} with ${stored} readings stored after ${Math.round(storedMs)} ms.`);
    }
    await delay(10);
  }
}
