import type { Database } from '../database/database.js';
import { DomainError } from '../errors.js';
import { metrics } from '../operation/metrics.js';
import { pageRequest, type ListQuery, type Page } from '../http/page.js';
import { anomalyKinds, type Anomaly, type LastStored, type Noticed } from './anomaly.js';
import {
  selectAnomalies,
  selectLastHeard,
  selectLastStored,
  trimAnomalies,
  upsertAnomalies,
} from './anomaly-store.js';

export interface Anomalies {
  /** Counts and keeps what was noticed; a table of at most 10,000 rows. @throws DomainError DATABASE_UNAVAILABLE */
  keep(noticed: readonly Noticed[]): Promise<void>;
  /** Newest first; understands page, limit, order, kind and meter_id. @throws DomainError SCHEMA_INVALID */
  list(query?: ListQuery): Promise<Page<Anomaly>>;
  /** Meters that sent something within a day, with the time (Unix ms). */
  lastHeard(): Promise<{ meter_id: string; heard: number }[]>;
  /** What is stored of these meters, by whichever instance. */
  lastStored(meters: readonly string[]): Promise<LastStored[]>;
}

export function createAnomalies(database: Database): Anomalies {
  return {
    async keep(noticed) {
      if (noticed.length === 0) return;
      await upsertAnomalies(database, noticed);
      for (const { kind, occurrences } of noticed) metrics.anomalies.inc({ kind }, occurrences);
      await trimAnomalies(database);
    },
    async list(query = {}) {
      const request = pageRequest(query, ['last_at']);
      const found = await selectAnomalies(database, request, kindOf(query['kind']), text(query['meter_id']));
      return { ...found, page: request.page, limit: request.limit };
    },
    lastHeard: () => selectLastHeard(database),
    lastStored: (meters) => selectLastStored(database, meters),
  };
}

function kindOf(value: unknown): Anomaly['kind'] | null {
  const wanted = text(value);
  const kind = anomalyKinds.find((one) => one === wanted);
  if (wanted === null || kind !== undefined) return kind ?? null;
  const message = `must be one of ${anomalyKinds.join(', ')}`;
  throw new DomainError('SCHEMA_INVALID', `The query is wrong: kind ${message}.`, {
    details: [{ path: '/kind', message }],
  });
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
