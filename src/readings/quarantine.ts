import type { Database } from '../database/database.js';
import { metrics } from '../operation/metrics.js';
import { commitExactlyOnce } from './exactly-once.js';
import { createLane, type CommitOptions } from './lane.js';
import { pageRequest, type ListQuery, type Page } from './page.js';
import { insertRejections, listRejections, type QuarantinedMessage } from './quarantine-store.js';
import type { Rejection } from './reading.js';

export type { QuarantinedMessage } from './quarantine-store.js';

export interface Quarantine {
  /** Resolves after the commit; holds while the database is away ([M-13]). */
  keep(rejections: readonly Rejection[], options: CommitOptions): Promise<void>;
  /** Newest first; understands page, limit, order, meter_id and code. */
  list(query?: ListQuery): Promise<Page<QuarantinedMessage>>;
}

/** Keeps what cannot be stored for its own sake, with its reason and payload ([M-14]). */
export function createQuarantine(database: Database): Quarantine {
  const lane = createLane<Rejection>({
    batchMax: 1000,
    commit: (rejections, wait) => commitExactlyOnce(database, (tx) => insertRejections(tx, rejections), wait),
  });
  return {
    async keep(rejections, wait) {
      await lane.add(rejections, wait);
      for (const { code } of rejections) metrics.quarantined.inc({ code });
    },
    async list(query = {}) {
      const request = pageRequest(query, ['quarantined_at']);
      const { data, total } = await listRejections(
        database,
        request,
        filter(query.meter_id),
        filter(query.code),
      );
      return { data, page: request.page, limit: request.limit, total };
    },
  };
}

function filter(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
