import type { Database } from '../database/database.js';
import type { LiveEvent } from './event.js';
import type { DataOf } from './event-data.js';
import { balanceChanged } from './occurrences.js';
import { selectInjected } from './token-store.js';

/** Answers of injections repeat: several callers of one token hear the same. */
const rememberedMax = 10_000;

export interface TokenNews {
  /** What there is to tell of these injections, each once; their meters and units are looked up. */
  of(ids: readonly string[]): Promise<LiveEvent[]>;
}

export function createTokenNews(database: Database): TokenNews {
  const told = new Set<string>();

  return {
    async of(ids) {
      const fresh = [...new Set(ids)].filter((id) => !told.has(id));
      if (fresh.length === 0) return [];
      for (const id of fresh) told.add(id);
      forgetOldest(told);
      try {
        const tokens = await selectInjected(database, fresh);
        return tokens.flatMap(({ id, meter_id, injected_units, balance, finished_at, late }) => {
          const units = Number(injected_units);
          const updated_at = finished_at.toISOString();
          const data = {
            injection_id: id,
            meter_id,
            injected_units: units,
            late,
            finished_at: updated_at,
          } satisfies DataOf['TokenInjected'];
          const injected: LiveEvent = { event: 'TokenInjected', data };
          if (balance === null || units === 0) return [injected];
          const moved = { meter_id, balance: Number(balance), units, reason: 'token' as const, updated_at };
          return [injected, balanceChanged(moved)];
        });
      } catch (error) {
        // The next one who brings it may have more luck.
        for (const id of fresh) told.delete(id);
        throw error;
      }
    },
  };
}

function forgetOldest(told: Set<string>): void {
  for (const id of told) {
    if (told.size <= rememberedMax) return;
    told.delete(id);
  }
}
