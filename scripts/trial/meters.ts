import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { canonicalString, hmacSignature } from '../../src/readings/signature.js';
import { wholeNumber, type TrialHouse } from './house.js';

/** A meter of the trial, registered for it and removed after it. */
export interface TrialMeter {
  readonly id: string;
  readonly meter_id: string;
  readonly mqtt_user: string;
  readonly mqtt_password: string;
  /** Signs its readings; null: they go unsigned. */
  readonly key: KeyObject | null;
}

export interface TrialReading {
  readonly meter_id: string;
  readonly kwh_amount: number;
  readonly reading_timestamp: string;
  readonly device_signature?: string;
}

/** As many quarter hours as lie in the 7 days in which a reading is taken, with some left for the clock. */
const perMeterMax = 660;
const quarterMs = 900_000;

/** METERS (10), READINGS (1,000) in all, SIGN (when somebody logs in: as production wants it). */
export function trialPlan(): { readonly meters: number; readonly readings: number; readonly sign: boolean } {
  const meters = wholeNumber('METERS', 10, { min: 1, max: 100 });
  const readings = wholeNumber('READINGS', 1000, { min: meters, max: 1000 });
  if (readings > meters * perMeterMax)
    throw new Error(`A meter has ${perMeterMax} quarter hours to report: raise METERS or lower READINGS.`);
  return { meters, readings, sign: isSigning() };
}

/** SIGN, else whether somebody logs in. */
export function isSigning(): boolean {
  const { SIGN = '', TOKEN = '', API_KEY = '' } = process.env;
  return SIGN === '' ? TOKEN + API_KEY !== '' : SIGN === 'true';
}

/** Registers so many, hands them to `work`, and removes them however that ends. Their readings stay, as of any meter. */
export async function withMeters<T>(
  house: TrialHouse,
  { meters, sign }: { readonly meters: number; readonly sign: boolean },
  work: (meters: readonly TrialMeter[]) => Promise<T>,
): Promise<T> {
  const registered: TrialMeter[] = [];
  const run = randomBytes(4).toString('hex');
  try {
    for (let number = 1; number <= meters; number++)
      registered.push(await register(house, `TRIAL-${run}-${number}`, sign));
    return await work(registered);
  } finally {
    for (const { id } of registered) await remove(house, id);
  }
}

async function register(house: TrialHouse, meterId: string, sign: boolean): Promise<TrialMeter> {
  const made = await house.ask<Omit<TrialMeter, 'key'>>('POST', '/devices', {
    type: 'meter',
    meter_id: meterId,
    name: 'A trial of the scripts',
  });
  if (!sign) return { ...made, key: null };
  try {
    const { secret } = await house.ask<{ secret: string }>('POST', '/api/admin/devices/register', {
      meter_id: meterId,
      algorithm: 'hmac-sha256',
    });
    return { ...made, key: createSecretKey(Buffer.from(secret, 'hex')) };
  } catch (error) {
    await remove(house, made.id);
    throw error;
  }
}

async function remove(house: TrialHouse, id: string): Promise<void> {
  // Also after the deadline, and after Ctrl-C.
  const end = AbortSignal.timeout(60_000);
  await house.ask('DELETE', `/devices/${id}`, undefined, { end }).catch((error: unknown) => {
    process.stdout.write(
      `the meter ${id} stays: ${error instanceof Error ? error.message : String(error)}\n`,
    );
  });
}

/** So many readings in turn, a quarter hour apart, no two alike. */
export function readingsOf(meters: readonly TrialMeter[], count: number): TrialReading[] {
  const newest = Math.floor(Date.now() / quarterMs) * quarterMs;
  return Array.from({ length: count }, (_, index) => {
    const meter = meters[index % meters.length] as TrialMeter;
    const time = newest - Math.floor(index / meters.length) * quarterMs;
    return readingAt(meter, index + 1, time);
  });
}

/** @param energy ten-thousandths of a kWh @param time Unix ms */
export function readingAt({ meter_id, key }: TrialMeter, energy: number, time: number): TrialReading {
  const text = canonicalString(meter_id, energy, time);
  return {
    meter_id,
    kwh_amount: energy / 10_000,
    reading_timestamp: new Date(time).toISOString(),
    ...(key === null ? {} : { device_signature: hmacSignature(text, key) }),
  };
}
