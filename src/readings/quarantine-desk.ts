import { createHash } from 'node:crypto';
import type { Database } from '../database/database.js';
import { audit, type Caller } from '../devices/audit.js';
import { isDomainError } from '../errors.js';
import { pageRequest, type ListQuery, type Page } from '../http/page.js';
import { asQuarantineFilter, type QuarantineCount, type QuarantinedMessage } from './quarantined-message.js';
import {
  countByCode,
  countQuarantined,
  getQuarantined,
  listOpenIds,
  listQuarantined,
} from './quarantine-store.js';
import { asBulkRequest, asCorrections } from './replay-request.js';
import { createReplay, unknownMessage, type Replayed, type ReplayOptions } from './replay.js';
import { deleteQuarantined } from './replay-store.js';

export type { QuarantineCount, QuarantinedMessage } from './quarantined-message.js';
export type { Replayed } from './replay.js';

/** What became of many. */
export interface BulkReplayed {
  /** Messages that fitted the filter and were not settled. */
  readonly matched: number;
  readonly stored: number;
  readonly duplicate: number;
  readonly refused: number;
  /** Settled or deleted by somebody else meanwhile. */
  readonly skipped: number;
  /** Left for another call. */
  readonly remaining: number;
  /** The first of the refused ones. */
  readonly refusals: readonly { readonly id: number; readonly code: string; readonly message: string }[];
}

/** An id that is none: DomainError MESSAGE_UNKNOWN. A field that is wrong: SCHEMA_INVALID. */
export interface QuarantineDesk {
  /** Newest first; page, limit, order, and the filters of `QuarantineFilter`. Long payloads are cut. */
  list(query?: ListQuery): Promise<Page<QuarantinedMessage>>;
  show(id: string): Promise<QuarantinedMessage>;
  /** By code, most open ones first. */
  counts(): Promise<QuarantineCount[]>;
  /** @throws as `createReplay` */
  replay(id: string, corrections: unknown, caller: Caller): Promise<Replayed>;
  /** One after another, each in a transaction of its own; no more than the limit, and no longer than 20 s. */
  replayMany(request: unknown, caller: Caller): Promise<BulkReplayed>;
  /** The audit log keeps what it was, with the payload's SHA-256. @returns what it was */
  remove(id: string, caller: Caller): Promise<QuarantinedMessage>;
}

/** What an operator does with quarantined messages ([M-14], [H-22]). */
export function createQuarantineDesk(database: Database, options: ReplayOptions = {}): QuarantineDesk {
  const replay = createReplay(database, options);
  return {
    async list(query = {}) {
      const request = pageRequest(query, ['quarantined_at']);
      const filter = asQuarantineFilter(query);
      const data = await listQuarantined(database, request, filter);
      const total = await countQuarantined(database, filter);
      return { data, page: request.page, limit: request.limit, total };
    },
    async show(id) {
      return known(id, await getQuarantined(database, checkedId(id)));
    },
    counts: () => countByCode(database),
    replay: async (id, corrections, caller) => replay(checkedId(id), asCorrections(corrections), caller),
    async replayMany(input, caller) {
      const { filter, limit, corrections } = asBulkRequest(input);
      const matched = await countQuarantined(database, { ...filter, replayed: false });
      const ids = await listOpenIds(database, filter, limit);
      const sum = { stored: 0, duplicate: 0, refused: 0, skipped: 0 };
      const refusals: { id: number; code: string; message: string }[] = [];
      const deadline = performance.now() + bulkMs;
      for (const id of ids) {
        if (performance.now() > deadline || options.signal?.aborted === true) break;
        const replayed = await replay(id, corrections, caller).catch(whenGone);
        sum[replayed?.outcome ?? 'skipped'] += 1;
        if (replayed?.outcome !== 'refused' || refusals.length === refusalsMax) continue;
        refusals.push({ id: replayed.id, code: replayed.code ?? '', message: replayed.reason ?? '' });
      }
      const done = sum.stored + sum.duplicate + sum.refused + sum.skipped;
      return { matched, ...sum, remaining: Math.max(0, matched - done), refusals };
    },
    remove: (id, caller) =>
      database.transaction(async (tx) => {
        const shown = known(id, await getQuarantined(tx, checkedId(id)));
        const row = await deleteQuarantined(tx, id);
        if (row === null) throw unknownMessage(id);
        await audit(tx, caller, {
          action: 'quarantine.deleted',
          subject: row.id,
          details: {
            id: shown.id,
            code: row.code,
            meter_id: row.meter_id,
            topic: row.topic,
            received_at: row.received_at.toISOString(),
            replay_outcome: row.replay_outcome,
            payload_bytes: row.payload.length,
            payload_sha256: createHash('sha256').update(row.payload).digest('hex'),
          },
        });
        return { ...shown, replay_outcome: row.replay_outcome };
      }),
  };
}

/** An HTTP client waits for it. */
const bulkMs = 20_000;
const refusalsMax = 100;

/** In a bulk replay, what somebody else has settled or deleted is no failure. */
function whenGone(error: unknown): undefined {
  if (isDomainError(error) && (error.code === 'MESSAGE_REPLAYED' || error.code === 'MESSAGE_UNKNOWN')) return;
  throw error;
}

/** As PostgreSQL's bigint can hold it. */
function checkedId(id: string): string {
  if (/^\d{1,18}$/.test(id)) return id;
  throw unknownMessage(id);
}

function known(id: string, message: QuarantinedMessage | null): QuarantinedMessage {
  if (message === null) throw unknownMessage(id);
  return message;
}
