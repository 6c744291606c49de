import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../database/database.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import {
  checkAccounts,
  checkEntries,
  checkPayments,
  readHorizon,
  type Discrepancy,
  type Horizon,
} from './audit-store.js';

export type { Discrepancy } from './audit-store.js';

export interface AuditResult {
  /** Entries looked at this time. */
  readonly entries: number;
  /** All that are known, also from earlier looks; the first hundred of them below. */
  readonly discrepancies: number;
  readonly found: readonly Discrepancy[];
}

export interface LedgerAudit {
  /** Looks now; calls at once share one look. @throws DomainError DATABASE_UNAVAILABLE */
  run(): Promise<AuditResult>;
  /** Waits a second for the look that is going on; it only reads. */
  close(): Promise<void>;
}

export interface AuditOptions {
  readonly everyMs?: number;
  /** Everything again from the first entry on, not only what is new. */
  readonly wholeEveryMs?: number;
  /** Rows per statement. */
  readonly rowsMax?: number;
}

const shownMax = 100;
const closeMs = 1_000;

/**
 * Checks the books against themselves ([P-2]): at once, then every 10 minutes what is new, once a day everything.
 * Anything wrong is logged as an error and shows in meterflow_ledger_discrepancies. It finds what somebody did who
 * turned the triggers off; it repairs nothing.
 */
export function watchLedger(database: Database, options: AuditOptions = {}): LedgerAudit {
  const { everyMs = 600_000, wholeEveryMs = 86_400_000, rowsMax = 20_000 } = options;
  const log = logger('ledger');
  const stopping = new AbortController();
  let known = new Map<string, Discrepancy>();
  // Ids are drawn before they are committed: each look begins where the last but one had ended.
  let from: Horizon = nothing;
  let next: Horizon = nothing;
  let wholeAt = 0;
  let looking: Promise<AuditResult> | undefined;

  async function look(): Promise<AuditResult> {
    const begun = performance.now();
    const isWhole = begun >= wholeAt;
    const since = isWhole ? nothing : from;
    const horizon = await readHorizon(database);
    const seen = isWhole ? new Map<string, Discrepancy>() : new Map(known);
    for (const [key, { kind }] of seen) if (kind === 'cache') seen.delete(key);
    const keep = (rows: readonly Discrepancy[]) => {
      for (const row of rows) seen.set(`${row.kind} ${row.id}`, row);
    };
    await inParts(since.entries, horizon.entries, async (after, upTo) =>
      keep(await checkEntries(database, after, upTo)),
    );
    await inParts('0', horizon.accounts, async (after, upTo) =>
      keep(await checkAccounts(database, after, upTo)),
    );
    await inParts(since.payments, horizon.payments, async (after, upTo) =>
      keep(await checkPayments(database, after, upTo)),
    );
    for (const [key, row] of seen) if (!known.has(key)) log.error(row, 'The books are not right');
    known = seen;
    from = next;
    next = horizon;
    if (isWhole) wholeAt = begun + wholeEveryMs;
    metrics.ledgerDiscrepancies.set(known.size);
    const entries = Number(BigInt(horizon.entries) - BigInt(since.entries));
    return { entries, discrepancies: known.size, found: [...known.values()].slice(0, shownMax) };
  }

  async function inParts(
    after: string,
    upTo: string,
    check: (after: bigint, upTo: bigint) => Promise<void>,
  ): Promise<void> {
    const end = BigInt(upTo);
    for (let begin = BigInt(after); begin < end; begin += BigInt(rowsMax)) {
      stopping.signal.throwIfAborted();
      const last = begin + BigInt(rowsMax);
      await check(begin, last < end ? last : end);
    }
  }

  function run(): Promise<AuditResult> {
    looking ??= look().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  async function repeat(): Promise<void> {
    while (!stopping.signal.aborted) {
      await run().catch((error: unknown) => {
        if (!stopping.signal.aborted) log.warn({ err: error }, 'The books could not be checked');
      });
      await delay(everyMs, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
    }
  }

  const repeating = repeat();
  return {
    run,
    async close() {
      stopping.abort();
      await Promise.race([repeating, delay(closeMs, undefined, { ref: false })]);
    },
  };
}

const nothing: Horizon = { entries: '0', accounts: '0', payments: '0' };
