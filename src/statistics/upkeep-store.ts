import type { Session } from '../database/database.js';

/** The tables with a partition for each UTC day that go by age. Ledger, payments and audit never do. */
export type AgingTable = 'meter_readings' | 'device_messages';

// 'mete': the class of our advisory locks; the writers have the first sixteen.
const upkeepLock = '1835365477, 100';

/** False: another instance is at work. Held until the transaction ends; what waits for a table gives up soon. */
export async function takeUpkeepLock(tx: Session): Promise<boolean> {
  const { rows } = await tx.query<{ mine: boolean }>({
    text: `select pg_try_advisory_xact_lock(${upkeepLock}) as mine,
                  set_config('lock_timeout', '2s', true), set_config('statement_timeout', '10min', true)`,
  });
  return rows[0]?.mine === true;
}

/** Readings that come for days before this one are noted from now on. */
export async function guardDaysBefore(tx: Session, before: string): Promise<void> {
  await tx.query({ text: 'select guard_days_before($1::date)', values: [before], timeoutMs: patienceMs });
}

/** The first day before this one that has readings and is not written down; days of UTC (2026-11-20). */
export async function findNextDay(tx: Session, before: string): Promise<string | null> {
  const { rows } = await tx.query<{ next: string | null }>({
    text: `select min(d.day)::text as next
             from meter_stats_state s, day_partitions('meter_readings') d
            where d.day >= s.sealed_until and d.day < $1::date`,
    values: [before],
  });
  return rows[0]?.next ?? null;
}

/** A day in its own transaction, so that the next round goes on where this one was stopped. */
export async function sealDay(tx: Session, day: string): Promise<void> {
  await tx.query({ text: 'select seal_day($1::date)', values: [day], timeoutMs: patienceMs });
}

/** Days without a partition need no writing down. Nothing happens while one with a partition is left. */
export async function passEmptyDays(tx: Session, before: string): Promise<void> {
  await tx.query({
    text: `update meter_stats_state s set sealed_until = $1::date
            where s.sealed_until < $1::date and s.guarded_until >= $1::date
              and not exists (select from day_partitions('meter_readings') d
                               where d.day >= s.sealed_until and d.day < $1::date)`,
    values: [before],
  });
}

/** @returns how many notes were worked off, at most `notesMax` */
export async function writeChangesDown(tx: Session, notesMax: number): Promise<number> {
  const { rows } = await tx.query<{ count: number }>({
    text: 'select write_changes_down($1::int) as count',
    values: [notesMax],
    timeoutMs: patienceMs,
  });
  return rows[0]?.count ?? 0;
}

/** How many notes wait, counted up to 100,000. */
export async function countChanges(session: Session): Promise<number> {
  const { rows } = await session.query<{ count: number }>({
    text: 'select count(*)::int as count from (select from meter_stats_changes limit 100000) c',
  });
  return rows[0]?.count ?? 0;
}

/** @returns how many days were dropped */
export async function dropDaysBefore(tx: Session, table: AgingTable, before: string): Promise<number> {
  const { rows } = await tx.query<{ count: number }>({
    text:
      table === 'meter_readings'
        ? 'select drop_readings_before($1::date) as count'
        : `select drop_days_before('device_messages', $1::date) as count`,
    values: [before],
    timeoutMs: patienceMs,
  });
  return rows[0]?.count ?? 0;
}

/** A day of 10 million meters takes a while. */
const patienceMs = 600_000;
