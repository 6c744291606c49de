import type { Database } from '../database/database.js';
import { metrics } from '../operation/metrics.js';
import { commitExactlyOnce } from './exactly-once.js';
import { createLane, type CommitOptions } from './lane.js';
import { insertRejections } from './quarantine-store.js';
import type { Rejection } from './reading.js';

export interface Quarantine {
  /** Resolves after the commit; holds while the database is away ([M-13]). */
  keep(rejections: readonly Rejection[], options: CommitOptions): Promise<void>;
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
  };
}
