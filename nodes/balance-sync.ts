import { hostname } from 'node:os';
import type { NodeAPI, NodeDef } from 'node-red';
import { createBalanceSync, type BalanceSync, type Sorted } from '../src/balances/balance-sync.js';
import { startRelay, type Relay } from '../src/balances/commands.js';
import type { ConsumptionReport, ConsumptionResult } from '../src/balances/report.js';
import type { Delivery, SessionEvent } from '../src/broker/delivery.js';
import type { Database } from '../src/database/database.js';
import type { MqttLink } from '../src/mqtt/link.js';
import { createReportLog, updateFailure } from './balance-log.js';
import { defineNode, type Host, type Message, type Outputs } from './define-node.js';
import { hold, release, settle } from './held.js';
import { outcome } from './outcome.js';
import { withPatience } from './patience.js';
import { showProgress, type Progress } from './progress.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  mqtt: string;
  instance: string;
  lowUnits: string;
  driftUnits: string;
  unitsMax: string;
  ageMaxDays: string;
  aheadMaxMinutes: string;
  repeatSeconds: string;
  repeatMaxSeconds: string;
  batchMax: string;
  lanes: string;
}

type Output = 'applied' | 'duplicate' | 'rejected' | 'others' | 'sent' | 'confirmed' | 'drift';
type Emit = (outputs: Outputs<Output>) => void;

/** Keeps prepaid meters and the ledger in step: consumption in exactly once, balance commands out until confirmed. */
export default function (RED: NodeAPI): void {
  defineNode<Config, Output>(RED, {
    type: 'balance-sync',
    outputs: ['applied', 'duplicate', 'rejected', 'others', 'sent', 'confirmed', 'drift'],
    start(config, host) {
      const settings = settingsOf(config);
      const database = host.use<Database>(config.database, 'database');
      const log = createReportLog(host.node);
      const sync = createBalanceSync(database, {
        ...settings,
        onDrift(drifts) {
          log.drifts(drifts);
          host.emit({ drift: { topic: 'drift', payload: drifts } as Message });
        },
      });
      const trouble = { relay: null as string | null };
      const counts = ['applied', 'duplicate', 'rejected', 'sent', 'confirmed', 'drift'];
      const progress = showProgress(host, counts, database, () => trouble.relay);
      const relay = relayOf(config, host, database, progress, trouble);
      const parts: Parts = { sync, progress, log, host };
      return {
        async input(message, emit) {
          const { payload } = message;
          if (isBatchOf<Delivery>(message, 'pattern'))
            return take(parts, message, payload as Delivery[], emit);
          if (isBatchOf<SessionEvent>(message, 'event'))
            return sync.greet(payload as SessionEvent[], { signal: host.signal });
          if (areReports(payload)) return takeOwn(parts, message, emit);
          // A payment was accepted, or the like: its command waits in the outbox.
          relay?.wake();
        },
        async close() {
          progress.stop();
          log.stop();
          await relay?.close();
        },
      };
    },
  });
}

interface Parts {
  readonly sync: BalanceSync;
  readonly progress: Progress;
  readonly log: ReturnType<typeof createReportLog>;
  readonly host: Host<Output>;
}

/** A batch of the broker's: each delivery is settled here, or leaves through exactly one output. */
async function take(parts: Parts, message: Message, deliveries: Delivery[], emit: Emit): Promise<void> {
  const { sync, host } = parts;
  const { reports, rejected, said, others } = sync.sort(deliveries);
  const awaited = said.filter(({ delivery }) => delivery !== 0);
  hold(reports);
  hold(awaited);
  parts.progress.begin(reports.length);
  parts.progress.count('rejected', rejected.length);
  if (rejected.length > 0) emit({ rejected: outcome(message, 'rejected', rejected) });
  const free =
    awaited.length === 0
      ? [...others, ...said]
      : [...others, ...said.filter(({ delivery }) => delivery === 0)];
  if (free.length > 0) emit({ others: outcome(message, 'others', free) });
  const done = await Promise.allSettled([
    applyReports(parts, message, { reports }, emit).finally(() => parts.progress.end(reports.length)),
    sync.hear(said, { signal: host.signal }).finally(() => release(awaited)),
  ]);
  if (awaited.length > 0 && done[1].status === 'fulfilled')
    emit({ others: outcome(message, 'others', awaited) });
  for (const one of done) if (one.status === 'rejected') throw one.reason;
}

/** Reports of a flow's own. */
async function takeOwn(parts: Parts, message: Message, emit: Emit): Promise<void> {
  const { sync, host } = parts;
  const inputs: unknown[] = Array.isArray(message.payload) ? message.payload : [message.payload];
  await withPatience(message, host.signal, async (wait) => {
    const { reports, rejected } = await sync.judge(inputs, message.topic ?? '', wait);
    parts.progress.count('rejected', rejected.length);
    if (rejected.length > 0) emit({ rejected: outcome(message, 'rejected', rejected) });
    await applyReports(parts, message, { reports }, emit, { signal: wait.signal });
  });
}

async function applyReports(
  { sync, progress, log, host }: Parts,
  message: Message,
  { reports }: Pick<Sorted, 'reports'>,
  emit: Emit,
  own?: { readonly signal: AbortSignal },
): Promise<void> {
  if (reports.length === 0) return;
  let result: ConsumptionResult;
  try {
    const { signal } = own ?? host;
    result = await sync.apply(reports, { signal, onHold: (reason) => log.held(reason) });
  } catch (error) {
    release(reports);
    throw updateFailure(error);
  }
  const { applied, duplicate, rejected } = result;
  if (own === undefined) {
    settle(applied);
    settle(duplicate);
  }
  // Theirs is the quarantine now, and the flow's deadline until it holds them.
  release(rejected);
  progress.count('applied', applied.length);
  progress.count('duplicate', duplicate.length);
  progress.count('rejected', rejected.length);
  log.applied(applied);
  if (applied.length > 0) emit({ applied: outcome(message, 'applied', applied) });
  if (duplicate.length > 0)
    emit({ duplicate: outcome(message, 'duplicate', duplicate satisfies ConsumptionReport[]) });
  if (rejected.length > 0) emit({ rejected: outcome(message, 'rejected', rejected) });
}

/** Without a broker nothing is sent: another node, or another instance, does. */
function relayOf(
  config: Config,
  host: Host<Output>,
  database: Database,
  progress: Progress,
  trouble: { relay: string | null },
): Relay | undefined {
  if (textSetting(config.mqtt, '') === '') return undefined;
  const link = host.use<MqttLink>(config.mqtt, 'broker');
  return startRelay(database, link, {
    instance: textSetting(config.instance, hostname()),
    backoff: {
      firstMs: 1000 * seconds(config.repeatSeconds, 2, 'First repeat'),
      mostMs: 1000 * seconds(config.repeatMaxSeconds, 300, 'Last repeat'),
    },
    onSent(sent) {
      progress.count('sent', sent.length);
      host.emit({ sent: { topic: 'sent', payload: sent } as Message });
    },
    onConfirmed(confirmed) {
      progress.count('confirmed', confirmed.length);
      host.emit({ confirmed: { topic: 'confirmed', payload: confirmed } as Message });
    },
    onState: (reason) => (trouble.relay = reason),
  });
}

function settingsOf(config: Config) {
  const whole = true;
  return {
    limits: {
      unitsMax: numberSetting(config.unitsMax, 100, {
        name: 'Units of a report',
        min: 0.0001,
        max: 1_000_000,
      }),
      ageMaxDays: numberSetting(config.ageMaxDays, 0, { name: 'Age', min: 0, max: 36_500 }),
      aheadMaxMinutes: numberSetting(config.aheadMaxMinutes, 5, { name: 'Ahead', min: 0, max: 525_600 }),
    },
    lowUnits: tenThousandthsOf(
      numberSetting(config.lowUnits, 1, { name: 'Low balance', min: 0, max: 1_000_000 }),
    ),
    driftUnits: tenThousandthsOf(
      numberSetting(config.driftUnits, 0.5, { name: 'Drift', min: 0, max: 1_000_000 }),
    ),
    batchMax: numberSetting(config.batchMax, 2000, {
      name: 'Reports per commit',
      min: 1,
      max: 10_000,
      whole,
    }),
    lanes: numberSetting(config.lanes, 2, { name: 'Lanes', min: 1, max: 16, whole }),
  };
}

function seconds(value: unknown, fallback: number, name: string): number {
  return numberSetting(value, fallback, { name, min: 0.1, max: 86_400 });
}

function tenThousandthsOf(units: number): number {
  return Math.round(units * 10_000);
}

/** What the broker's nodes emit. No request may pass for the broker. */
function isBatchOf<T extends object>({ payload, req }: Message, field: keyof T & string): boolean {
  if (req !== undefined || !Array.isArray(payload)) return false;
  const first: unknown = payload[0];
  const mark = field === 'pattern' ? 'delivery' : 'client_id';
  return typeof first === 'object' && first !== null && field in first && mark in first;
}

function areReports(payload: unknown): boolean {
  const first: unknown = Array.isArray(payload) ? payload[0] : payload;
  return typeof first === 'object' && first !== null && ('meterNo' in first || 'unitsConsumed' in first);
}
