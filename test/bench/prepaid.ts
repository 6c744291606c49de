import { setTimeout as delay } from 'node:timers/promises';
import mqtt, { type MqttClient } from 'mqtt';
import { openDatabase, type Database } from '../../src/database/database.js';
import { credit, discrepancies, one } from '../balances/meters.js';
import { onStage } from './contest.js';
import { unsigned } from './contestants/ours.js';
import { percentile } from './load/latency-histogram.js';
import { startLoad, type Load, type StepResult } from './load/load.js';
import { prepaidBalance, prepaidUnits } from './load/reading-plan.js';

export interface PrepaidStep {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

export interface Prepaid {
  readonly meters: number;
  /** Consumption reports that the ledger had deducted when their PUBACK left, as fast as it goes. */
  readonly max: PrepaidStep;
  /** Every meter each 30 seconds: the routine. */
  readonly routine: PrepaidStep;
  /** From the commit of a payment to the command at the meter, at 100 payments a second. */
  readonly toMeter: PrepaidStep;
  readonly applied: number;
}

export interface PrepaidOptions {
  readonly meters: number;
  readonly seconds: number;
  readonly window: number;
  readonly log: (line: string) => void;
}

/** Prepaid meters on the shipped flows: what they report is deducted, what is paid for them arrives. */
export function measurePrepaid({ meters, seconds, window, log }: PrepaidOptions): Promise<Prepaid> {
  return onStage(unsigned, { meters, log }, async ({ running, databaseUrl }) => {
    const database = openDatabase({ url: databaseUrl, connectionsMax: 4, queryTimeoutMs: 120_000 });
    const names = running.logins.map(({ meterId }) => meterId);
    await fund(database, names);
    const plan = { base: Date.now(), readingsMax: 1_000_000, isPrepaid: true } as const;
    const load = await startLoad({
      host: '127.0.0.1',
      port: running.mqttPort,
      plan,
      first: 0,
      meters: running.logins,
      atOnce: 500,
    });
    try {
      const warm = await load.step({ mode: 'max', seconds: 2, window });
      const max = await load.step({ mode: 'max', seconds, window });
      log(`${max.acknowledged} reports: ${describe(stepOf(max))}`);
      const routine = await load.step({ mode: 'paced', seconds, rate: Math.max(1, meters / 30) });
      log(`routine: ${describe(stepOf(routine))}`);
      const toMeter = await measureToMeter(database, running.mqttPort, running.logins.slice(0, 50), seconds);
      log(`commit to meter: ${describe(toMeter)}`);
      const applied = await auditReports(database, [warm, max, routine]);
      return { meters, max: stepOf(max), routine: stepOf(routine), toMeter, applied };
    } finally {
      await end(load);
      await database.close();
    }
  });
}

async function fund(database: Database, names: readonly string[]): Promise<void> {
  await database.transaction(async (tx) => {
    await tx.query({
      text: `insert into accounts (kind, meter_id, currency) select 'units', m, '' from unnest($1::text[]) m`,
      values: [names],
    });
    await tx.query({
      text: `with header as (insert into ledger_transactions (kind) values ('token') returning id)
             insert into ledger_entries (transaction_id, account_id, amount, balance_after)
             select header.id, a.id, case when a.kind = 'units' then $1::numeric else -$1::numeric * $2 end,
                    case when a.kind = 'units' then $1::numeric end
               from header, accounts a where a.kind in ('units', 'issued')`,
      values: [prepaidBalance / 10_000, names.length],
    });
  });
}

/** Everything acknowledged is in the ledger, once. */
async function auditReports(database: Database, steps: readonly StepResult[]): Promise<number> {
  const acknowledged = steps.reduce((sum, step) => sum + step.acknowledged, 0);
  const missing = steps.flatMap(({ meters }) => meters.flatMap((meter) => meter.missing)).length;
  const found = await one<{ applied: number; used: number; drifts: number }>(
    database,
    `select (select count(*)::float8 from consumption_reports) as applied,
            (select count(*)::float8 from balance_drifts) as drifts,
            (select sum(amount)::float8 * 10000 from ledger_entries e join accounts a on a.id = e.account_id
              where a.kind = 'consumed') as used`,
  );
  const wrong = await discrepancies(database);
  const isRight =
    found.applied >= acknowledged &&
    found.applied <= acknowledged + missing &&
    Math.round(found.used) === found.applied * prepaidUnits &&
    wrong === 0;
  if (!isRight)
    throw new Error(`The books are wrong: ${JSON.stringify({ acknowledged, missing, wrong, ...found })}`);
  return found.applied;
}

async function measureToMeter(
  database: Database,
  port: number,
  logins: readonly { meterId: string; user?: string; password?: string }[],
  seconds: number,
): Promise<PrepaidStep> {
  const paidAt = new Map<string, number>();
  const latencies: number[] = [];
  let isCounting = false;
  const clients = await Promise.all(
    logins.map(async ({ meterId, user = '', password = '' }) => {
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
        clientId: `${meterId}-listener`,
        username: user,
        password,
      });
      client.on('message', (_topic, payload) => {
        const now = performance.now();
        const at = paidAt.get(meterId);
        paidAt.delete(meterId);
        if (isCounting && at !== undefined) latencies.push(now - at);
        confirm(client, meterId, payload);
      });
      await client.subscribeAsync(`smartmeter/${meterId}/command/#`, { qos: 1 });
      return client;
    }),
  );
  // What the subscription itself brings comes first.
  await delay(2_000);
  isCounting = true;
  const payments = seconds * 100;
  const begun = performance.now();
  const under: Promise<void>[] = [];
  for (let n = 0; n < payments; n += 1) {
    const meterId = logins[n % logins.length]?.meterId ?? '';
    const due = begun + n * 10;
    if (due > performance.now()) await delay(due - performance.now());
    under.push(
      // The command may be quicker than the answer to the commit.
      credit(database, meterId, 0.01, () => paidAt.set(meterId, performance.now())),
    );
  }
  await Promise.all(under);
  await delay(500);
  await Promise.all(clients.map((client) => client.endAsync(true)));
  return { perSecond: (payments / (performance.now() - begun)) * 1_000, ...percentiles(latencies) };
}

function confirm(client: MqttClient, meterId: string, payload: Buffer): void {
  const command = JSON.parse(payload.toString()) as object;
  client.publish(`smartmeter/${meterId}/balance`, JSON.stringify({ meterNo: meterId, ...command }), {
    qos: 0,
  });
}

function percentiles(values: readonly number[]): Omit<PrepaidStep, 'perSecond'> {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99) };
}

function stepOf({ acknowledged, seconds, latencies }: StepResult): PrepaidStep {
  return {
    perSecond: acknowledged / seconds,
    p50Ms: percentile(latencies, 0.5) ?? NaN,
    p95Ms: percentile(latencies, 0.95) ?? NaN,
    p99Ms: percentile(latencies, 0.99) ?? NaN,
  };
}

function describe({ perSecond, p50Ms, p95Ms, p99Ms }: PrepaidStep): string {
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  return `${Math.round(perSecond).toLocaleString('en')}/s, p50 ${ms(p50Ms)}, p95 ${ms(p95Ms)}, p99 ${ms(p99Ms)}`;
}

async function end(load: Load): Promise<void> {
  await load.end();
}
