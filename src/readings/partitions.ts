import type { Database } from '../database/database.js';

/** The tables that are partitioned by UTC day. */
export type DailyTable = 'meter_readings' | 'device_messages' | 'forward_journal';

export interface Partitions {
  /** Makes the partitions of the days of these moments (Unix ms), where they are missing. */
  ensure(moments: Iterable<number>): Promise<void>;
  /** Asks the database again next time; for a partition that somebody dropped. */
  forget(): void;
}

const dayMs = 86_400_000;

/** Remembers which days exist, so that a batch of known days costs no query. */
export function createPartitions(database: Pick<Database, 'query'>, table: DailyTable): Partitions {
  const known = new Set<number>();
  return {
    async ensure(moments) {
      const missing = new Set<number>();
      for (const moment of moments) {
        const day = Math.floor(moment / dayMs);
        if (!known.has(day)) missing.add(day);
      }
      // One statement for each day: two callers that hold several days each could wait for one another.
      for (const day of [...missing].sort((a, b) => a - b)) {
        await ensureDay(database, table, day);
        known.add(day);
      }
    },
    forget: () => known.clear(),
  };
}

export interface KeepAheadOptions {
  /** Called when a round fails; the next one comes in an hour, and writers make what they need by themselves. */
  readonly onError?: (error: unknown) => void;
  readonly everyMs?: number;
  /** Unix ms. */
  readonly now?: () => number;
}

/**
 * Makes the partitions from 8 days back to 7 days ahead, at once and then every hour: making one locks the table for a
 * moment, which no reading should wait for at midnight. `ready` resolves after the first round.
 */
export function keepPartitionsAhead(
  database: Pick<Database, 'query'>,
  options: KeepAheadOptions = {},
): { ready: Promise<void>; stop(): void } {
  const { onError = () => {}, everyMs = 3_600_000, now = Date.now } = options;
  const tables = [
    createPartitions(database, 'meter_readings'),
    createPartitions(database, 'device_messages'),
  ];

  async function round(): Promise<void> {
    const days = Array.from({ length: 16 }, (_, index) => now() + (index - 8) * dayMs);
    try {
      for (const table of tables) await table.ensure(days);
    } catch (error) {
      onError(error);
    }
  }

  const ready = round();
  const timer = setInterval(() => void round(), everyMs);
  timer.unref();
  return { ready, stop: () => clearInterval(timer) };
}

async function ensureDay(database: Pick<Database, 'query'>, table: DailyTable, day: number): Promise<void> {
  await database.query({
    name: 'ensure-day-partition',
    text: `select ensure_day_partition($1::text::regclass, date '1970-01-01' + $2::int)`,
    values: [table, day],
  });
}
