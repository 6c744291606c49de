import type { Session } from '../database/database.js';
import { findKnownMeters } from '../devices/known-meters.js';
import { metrics } from '../operation/metrics.js';
import { payloadOf } from './payload.js';
import type { Reading, Rejection } from './reading.js';
import type { Verdicts } from './verify.js';

/** What the broker knows of a reading that came over MQTT, for one that came over HTTP: whose it is, or METER_UNKNOWN. */
export async function findOwners(session: Session, readings: readonly Reading[]): Promise<Verdicts> {
  const verdicts: Verdicts = { valid: [], rejected: [] };
  if (readings.length === 0) return verdicts;
  const meters = await findKnownMeters(
    session,
    readings.map(({ meter_id }) => meter_id),
  );
  for (const reading of readings) {
    const meter = meters.get(reading.meter_id);
    if (meter === undefined) verdicts.rejected.push(unknown(reading));
    else verdicts.valid.push({ ...reading, device_id: meter.device_id, user_id: meter.user_id });
  }
  return verdicts;
}

function unknown(reading: Reading): Rejection {
  metrics.readingErrors.inc({ error_type: 'METER_UNKNOWN' });
  const { delivery, part, device_id, meter_id, topic, qos, received_at } = reading;
  const reason = `There is no meter "${meter_id}" in the registry.`;
  return {
    delivery,
    part,
    device_id,
    meter_id,
    topic,
    qos,
    code: 'METER_UNKNOWN',
    reason,
    payload: payloadOf(reading),
    received_at,
  };
}
