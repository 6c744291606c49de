import type { Reading } from './reading.js';
import { partOf } from './wire-format.js';

/** A reading as it arrived, for quarantine; written anew when it did not come as a message. */
export function payloadOf(reading: Reading): string | Buffer {
  if (reading.payload !== undefined) return partOf(reading.payload, reading.part);
  const { meter_id, energy, time, signature } = reading;
  return JSON.stringify({
    meter_id,
    kwh_amount: energy / 10_000,
    reading_timestamp: new Date(time).toISOString(),
    ...(typeof signature === 'string' ? { device_signature: signature } : {}),
  });
}
