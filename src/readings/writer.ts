import type { Database, Session } from '../database/database.js';
import { metrics } from '../operation/metrics.js';
import { countActiveMeters } from './active-meters.js';
import { commitReadings, decide, type Row } from './commit.js';
import { createLane, type CommitOptions } from './lane.js';
import { createPartitions } from './partitions.js';
import { payloadOf } from './payload.js';
import type { Reading, Rejection } from './reading.js';
import { lockCount } from './reading-store.js';
import { tooClose } from './rules.js';

export interface WriterOptions {
  /** Transactions at a time. Each has its own meters. */
  readonly lanes?: number;
  /** Least distance of two stored readings of a meter; exactly this far apart is fine; 0 turns the rule off. */
  readonly spacingSeconds?: number;
  /** Most readings of one transaction. */
  readonly batchMax?: number;
}

/** Every reading of the call is in exactly one list, each in the order of the call. */
export interface StoreResult {
  readonly stored: Reading[];
  /** The same meter, time and energy was stored before. */
  readonly duplicate: Reading[];
  /** TOO_CLOSE. */
  readonly rejected: Rejection[];
}

export interface ReadingWriter {
  /** Resolves after the commit; holds while the database is away ([M-13]); idempotent. */
  store(readings: readonly Reading[], options: CommitOptions): Promise<StoreResult>;
}

/**
 * Group commit of readings under the spacing rule, right also with several instances: readings of many calls join a
 * lane's next transaction, which locks its meters before it looks at what is stored.
 */
export function createReadingWriter(database: Database, options: WriterOptions = {}): ReadingWriter {
  const { spacingSeconds = 900, batchMax = 2000 } = options;
  const laneCount = Math.min(options.lanes ?? 2, lockCount);
  const partitions = createPartitions(database, 'meter_readings');
  const lanes = Array.from({ length: laneCount }, () =>
    createLane<Row>({
      batchMax,
      commit: (rows, wait) => commitReadings(database, partitions, rows, spacingSeconds, wait),
    }),
  );

  return {
    async store(readings, wait) {
      const begun = performance.now();
      const rows = readings.map(rowOf);
      await Promise.all(
        lanes.map((lane, index) =>
          lane.add(
            rows.filter(({ lock }) => lock % laneCount === index),
            wait,
          ),
        ),
      );
      const result = sort(rows, spacingSeconds);
      metrics.readingSeconds.observe((performance.now() - begun) / 1000);
      countOutcomes(result);
      return result;
    },
  };
}

/**
 * The same decision inside a transaction of the caller's, for what must be atomic with it. The partitions must be there;
 * `countOutcomes` belongs after the commit.
 */
export async function storeWithin(
  tx: Session,
  readings: readonly Reading[],
  spacingSeconds: number,
): Promise<StoreResult> {
  const rows = readings.map(rowOf);
  if (rows.length > 0) await decide(tx, rows, spacingSeconds);
  return sort(rows, spacingSeconds);
}

function rowOf(reading: Reading): Row {
  return { reading, lock: lockOf(reading.meter_id), outcome: null, neighbour: 0, reason: null };
}

/** FNV-1a; part of the agreement between instances, like `lockCount`. */
function lockOf(meter_id: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < meter_id.length; index++) {
    hash = Math.imul(hash ^ meter_id.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0) % lockCount;
}

function sort(rows: readonly Row[], spacingSeconds: number): StoreResult {
  const result: StoreResult = { stored: [], duplicate: [], rejected: [] };
  for (const row of rows) {
    if (row.outcome === 'stored') result.stored.push(row.reading);
    else if (row.outcome === 'duplicate') result.duplicate.push(row.reading);
    else result.rejected.push(rejectionOf(row, spacingSeconds));
  }
  return result;
}

function rejectionOf({ reading, neighbour, reason }: Row, spacingSeconds: number): Rejection {
  const { delivery, part, device_id, meter_id, topic, qos, received_at } = reading;
  const refusal =
    reason === null ? tooClose(reading.time, neighbour, spacingSeconds) : { code: 'SCHEMA_INVALID', reason };
  return {
    delivery,
    part,
    device_id,
    meter_id,
    topic,
    qos,
    ...refusal,
    payload: payloadOf(reading),
    received_at,
  };
}

export function countOutcomes({ stored, duplicate, rejected }: StoreResult): void {
  for (const list of [stored, duplicate]) {
    for (const source of ['mqtt', 'http', 'batch'] as const) {
      const count = list.reduce((sum, reading) => sum + (reading.source === source ? 1 : 0), 0);
      if (count > 0) metrics.readingsSubmitted.inc({ source }, count);
    }
  }
  for (const { code } of rejected) metrics.readingErrors.inc({ error_type: code });
  countActiveMeters(stored);
}
