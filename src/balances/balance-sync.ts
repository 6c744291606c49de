import type { Delivery, SessionEvent } from '../broker/delivery.js';
import { untilCommitted, type Database } from '../database/database.js';
import { createLane, type CommitOptions } from '../readings/lane.js';
import type { Rejection } from '../readings/reading.js';
import { confirmCommands, type BalanceReport } from './confirmations.js';
import { createConsumption } from './consumption.js';
import type { Drift } from './drift.js';
import { balanceReportOf, requestOf, statusOf, wakeOf } from './meter-messages.js';
import { judgeOwnReports } from './own-reports.js';
import { judgeDelivery, type ReportLimits } from './report-rules.js';
import type { ConsumptionReport, ConsumptionResult } from './report.js';
import { keepStatuses, mustHear, type StatusReport } from './status.js';
import { createUnawaited } from './unawaited.js';
import { keepTopicNames, wakeMeters, type Wake } from './wanted-commands.js';

export interface BalanceSyncOptions {
  readonly limits: ReportLimits;
  /** Ten-thousandths of a unit. */
  readonly lowUnits: number;
  /** Ten-thousandths of a unit. */
  readonly driftUnits: number;
  readonly lanes?: number;
  readonly batchMax?: number;
  /** Unix ms. */
  readonly now?: () => number;
  readonly onDrift?: (drifts: readonly Drift[]) => void;
}

/** A batch of the broker's, by what is to be done with it. */
export interface Sorted {
  readonly reports: readonly ConsumptionReport[];
  readonly rejected: readonly Rejection[];
  /** What a meter says of itself: acted on, and everybody else's as well. */
  readonly said: readonly Delivery[];
  /** Nothing of ours. */
  readonly others: readonly Delivery[];
}

/** The part of prepaid meters that listens: what they consumed, how they are, what they confirm, what they ask. */
export interface BalanceSync {
  sort(deliveries: readonly Delivery[]): Sorted;
  /** Reports that came in another way; `topic` is for people. */
  judge(
    inputs: readonly unknown[],
    topic: string,
    wait: CommitOptions,
  ): Promise<Pick<Sorted, 'reports' | 'rejected'>>;
  /** Resolves after the commit; holds while the database is away ([M-13]). */
  apply(reports: readonly ConsumptionReport[], wait: CommitOptions): Promise<ConsumptionResult>;
  /** Keeps statuses, closes confirmed commands, answers requests. Resolves after the commit. */
  hear(said: readonly Delivery[], wait: CommitOptions): Promise<void>;
  /** Meters that came, or listen: they are told their balance. Resolves after the commit. */
  greet(events: readonly SessionEvent[], wait: CommitOptions): Promise<void>;
}

const patterns = {
  consumption: 'smartmeter/+/consumption',
  status: 'smartmeter/+/status',
  balance: 'smartmeter/+/balance',
  request: 'smartmeter/+/balance/request',
} as const;

const batchMax = 1_000;

export function createBalanceSync(database: Database, options: BalanceSyncOptions): BalanceSync {
  const { limits, driftUnits, now = Date.now } = options;
  const consumption = createConsumption(database, options);
  const unawaited = createUnawaited();

  const wakes = createLane<Wake>({
    batchMax,
    commit: (items, wait) => untilCommitted(database, () => wake(items), wait),
  });
  const confirmations = createLane<BalanceReport>({
    batchMax,
    commit: async (items, wait) => {
      await untilCommitted(database, () => confirmCommands(database, items), wait);
    },
  });
  const statuses = createLane<StatusReport>({
    batchMax,
    commit: (items, wait) => untilCommitted(database, () => note(newest(items)), wait),
  });

  async function wake(items: readonly Wake[]): Promise<void> {
    const named = items.filter(({ name }) => name !== '');
    if (named.length > 0) await keepTopicNames(database, named);
    await wakeMeters(database, items);
  }

  async function note(reports: readonly StatusReport[]): Promise<void> {
    const online = await keepStatuses(database, reports);
    const byMeter = new Map(reports.map((report) => [report.meter_id, report]));
    const hearing = online.filter((one) => {
      const said = byMeter.get(one.meter_id);
      return said !== undefined && mustHear(one, said, driftUnits);
    });
    if (hearing.length === 0) return;
    await wakeMeters(
      database,
      hearing.map(({ meter_id }) => wakeOnline(meter_id)),
    );
  }

  return {
    sort: (deliveries) => sortDeliveries(unawaited.admit(deliveries), limits, now()),
    judge: (inputs, topic, wait) =>
      untilCommitted(database, () => judgeOwnReports(database, inputs, topic, limits, now()), wait),
    async apply(reports, wait) {
      unawaited.begin(reports);
      try {
        return await consumption.apply(reports, wait);
      } finally {
        unawaited.end(reports);
      }
    },
    async hear(said, wait) {
      unawaited.begin(said);
      try {
        await Promise.all([
          statuses.add(present(said, patterns.status, statusOf), wait),
          confirmations.add(present(said, patterns.balance, balanceReportOf), wait),
          wakes.add(present(said, patterns.request, requestOf), wait),
        ]);
      } finally {
        unawaited.end(said);
      }
    },
    async greet(events, wait) {
      const found = events.map(wakeOf).filter((one) => one !== null);
      await wakes.add(found, wait);
    },
  };
}

function wakeOnline(meter_id: string): Wake {
  return { meter_id, reason: 'online', onlyPrepaid: true, delayMs: 0, name: '' };
}

function sortDeliveries(deliveries: readonly Delivery[], limits: ReportLimits, now: number): Sorted {
  const reports: ConsumptionReport[] = [];
  const rejected: Rejection[] = [];
  const said: Delivery[] = [];
  const others: Delivery[] = [];
  for (const delivery of deliveries) {
    switch (delivery.pattern) {
      case patterns.consumption: {
        const judged = judgeDelivery(delivery, limits, now);
        if ('code' in judged) rejected.push(judged);
        else reports.push(judged);
        break;
      }
      case patterns.status:
      case patterns.balance:
      case patterns.request:
        said.push(delivery);
        break;
      default:
        others.push(delivery);
    }
  }
  return { reports, rejected, said, others };
}

function present<T>(said: readonly Delivery[], pattern: string, read: (delivery: Delivery) => T | null): T[] {
  const found: T[] = [];
  for (const delivery of said) {
    if (delivery.pattern !== pattern) continue;
    const value = read(delivery);
    if (value !== null) found.push(value);
  }
  return found;
}

/** The last one of each meter, in the order of arrival. */
function newest<T extends { readonly meter_id: string }>(items: readonly T[]): T[] {
  return [...new Map(items.map((item) => [item.meter_id, item])).values()];
}
