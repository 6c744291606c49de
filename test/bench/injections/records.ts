import { openDatabase } from '../../../src/database/database.js';
import { discrepancies } from '../../balances/meters.js';
import { meterIdOf } from '../load/reading-plan.js';
import { isInTime, type Fact } from './judge.js';
import { isNameless, unitsOf } from './plan.js';

/** Our records of injections beside what meters did. Zero is right, but for `open`. */
export interface RecordsAudit {
  readonly booked: number;
  /** Units that a meter booked, and no record says so, though its answer came in time or named token or message. */
  readonly missing: number;
  /** A record tells of units that no meter booked, or another number of them. */
  readonly untrue: number;
  /** More than one record of one token tells of a success. */
  readonly twice: number;
  /** Records that still say `waiting`. */
  readonly waiting: number;
  /** Ledger accounts that differ from their entries, and meters whose units are not the sum of their records. */
  readonly ledger: number;
  /** Its answer names neither token nor message, and came late, or when another token was open: it may be to several. */
  readonly open: number;
}

const settleMs = 15_000;
/** The shipped demo has meters of its own, with money in them. */
const meterPrefix = meterIdOf(0).replace(/\d+$/, '');

/** Waits until late answers are taken in, then compares. */
export async function auditRecords(
  databaseUrl: string,
  { facts, doubtful }: { readonly facts: readonly Fact[]; readonly doubtful: ReadonlySet<number> },
): Promise<RecordsAudit> {
  const database = openDatabase({ url: databaseUrl, connectionsMax: 2, queryTimeoutMs: 60_000 });
  const booked = facts.filter(({ said }) => said === 'success');
  try {
    const until = performance.now() + settleMs;
    for (;;) {
      const { rows } = await database.query<{ booking: string; count: number }>({
        text: `select meter_id || ' ' || round(injected_units * 10000) as booking, count(*)::int as count
                 from token_injections where status = 'success' group by 1`,
      });
      const found = new Map(rows.map(({ booking, count }) => [booking, count]));
      const audit = compare(booked, doubtful, found);
      if ((audit.missing > 0 || audit.open > 0) && performance.now() < until) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        continue;
      }
      const [sums] = (
        await database.query<{ waiting: number; differing: number }>({
          text: `select (select count(*)::int from token_injections where status = 'waiting') as waiting,
                        (select count(*)::int
                           from (select meter_id, sum(injected_units) as units from token_injections
                                  where status = 'success' group by meter_id) t
                           full join (select meter_id, balance from accounts where kind = 'units') a
                             on a.meter_id = t.meter_id
                          where coalesce(t.units, 0) <> coalesce(a.balance, 0)
                            and coalesce(a.meter_id, t.meter_id) like '${meterPrefix}%') as differing`,
        })
      ).rows;
      const ledger = (sums?.differing ?? 0) + (await discrepancies(database));
      return { ...audit, waiting: sums?.waiting ?? 0, ledger };
    }
  } finally {
    await database.close();
  }
}

/** Each token has units of its own. */
function compare(
  booked: readonly Fact[],
  doubtful: ReadonlySet<number>,
  found: ReadonlyMap<string, number>,
): Pick<RecordsAudit, 'booked' | 'missing' | 'untrue' | 'twice' | 'open'> {
  const real = new Set(booked.map(bookingOf));
  const unrecorded = booked.filter((fact) => !found.has(bookingOf(fact)));
  const open = unrecorded.filter(
    (fact) => isNameless(fact.meter) && (!isInTime(fact) || doubtful.has(fact.token)),
  );
  return {
    booked: booked.length,
    missing: unrecorded.length - open.length,
    untrue: [...found.keys()].filter((booking) => !real.has(booking)).length,
    twice: [...found.values()].filter((count) => count > 1).length,
    open: open.length,
  };
}

function bookingOf({ token, meter }: Fact): string {
  return `${meterIdOf(meter)} ${unitsOf(token)}`;
}
