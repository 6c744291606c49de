import { isMockId } from '../devices/mock-id.js';
import { metrics } from '../operation/metrics.js';
import type { Reading } from './reading.js';

const hourMs = 3_600_000;
/** Bounds the memory; more meters than this are not told apart. */
const metersMax = 200_000;

/** Meter → when it last stored a reading, oldest first. */
const seen = new Map<string, number>();

/** Keeps meterflow_active_meters: meters with a stored reading in this process within the last hour; no mocks ([L-3]). */
export function countActiveMeters(stored: readonly Reading[], now = Date.now()): void {
  for (const { meter_id } of stored) {
    if (isMockId(meter_id)) continue;
    seen.delete(meter_id);
    seen.set(meter_id, now);
  }
  for (const [meter_id, at] of seen) {
    if (at > now - hourMs && seen.size <= metersMax) break;
    seen.delete(meter_id);
  }
  metrics.activeMeters.set(seen.size);
}
