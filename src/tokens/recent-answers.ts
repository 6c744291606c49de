import { createHash } from 'node:crypto';
import type { Database } from '../database/database.js';
import type { MeterAnswer } from './answer.js';

/** The answers that were taken, so that a second copy of one is known as such. */
export interface RecentAnswers {
  note(meterId: string, answer: MeterAnswer): void;
  /** How long a token of this meter waited for its answer. */
  took(meterId: string, ms: number): void;
  /** Of the last one; undefined: not known. */
  lastTookMs(meterId: string): number | undefined;
  /** Whether the very same was. */
  has(meterId: string, answer: MeterAnswer): boolean;
  /** Whether the meter has said yes to any token. */
  hasSuccess(meterId: string): boolean;
  /** Nothing is remembered of before, Unix ms. */
  readonly since: number;
}

/** An answer may come again after a reconnect, or by the broker's deliveries after a slow commit. */
const rememberedMs = 60_000;
const answersMax = 20_000;

const memories = new WeakMap<Database, RecentAnswers>();

/** One memory for all nodes that write to one database. */
export function recentAnswersOf(database: Database): RecentAnswers {
  const recent = memories.get(database) ?? createRecentAnswers();
  memories.set(database, recent);
  return recent;
}

function createRecentAnswers(): RecentAnswers {
  const taken = new Map<string, number>();
  const waits = new Map<string, number>();
  const isRemembered = (key: string): boolean => {
    const at = taken.get(key);
    return at !== undefined && performance.now() - at < rememberedMs;
  };
  function remember(key: string): void {
    // Behind the others, so that the first is the oldest.
    taken.delete(key);
    taken.set(key, performance.now());
    const oldest = taken.size > answersMax ? taken.keys().next() : undefined;
    if (oldest?.done === false) taken.delete(oldest.value);
  }
  return {
    since: Date.now(),
    note(meterId, answer) {
      remember(keyOf(meterId, answer));
      if (answer.outcome === 'success') remember(meterId);
    },
    took(meterId, ms) {
      waits.delete(meterId);
      waits.set(meterId, ms);
      const oldest = waits.size > answersMax ? waits.keys().next() : undefined;
      if (oldest?.done === false) waits.delete(oldest.value);
    },
    lastTookMs: (meterId) => waits.get(meterId),
    has: (meterId, answer) => isRemembered(keyOf(meterId, answer)),
    hasSuccess: (meterId) => isRemembered(meterId),
  };
}

function keyOf(meterId: string, { data }: MeterAnswer): string {
  return `${meterId} ${createHash('sha256').update(JSON.stringify(data)).digest('base64')}`;
}
