import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../database/database.js';
import { DomainError } from '../errors.js';
import type { MqttLink } from '../mqtt/link.js';
import { metrics } from '../operation/metrics.js';
import { startEventEar } from './event-ear.js';
import { asMockEvent } from './mock-event.js';
import type { MockTelemetry } from './mock-host.js';
import { createMockKeeper, type MockLog } from './mock-keeper.js';
import { createMockQueue, type MockQueue } from './mock-queue.js';
import type { MockChange } from './mock-changes-store.js';
import { createMockWorld, type MockWorldState } from './mock-world.js';
import { newSigner, type SigningKeys } from './signing.js';

export type BrokerWay = Pick<
  MqttLink,
  'host' | 'port' | 'tls' | 'trust' | 'clientId' | 'username' | 'password'
>;

export interface MockPlayOptions {
  readonly database: Database;
  readonly broker: BrokerWay;
  readonly seed: number;
  /** 0: no telemetry. */
  readonly telemetrySeconds: number;
  /** Meters sign by this; undefined: they do not. */
  readonly signing?:
    { readonly keys: SigningKeys; readonly algorithm: 'hmac-sha256' | 'ed25519' } | undefined;
  readonly log: MockLog;
  readonly onChanges?: (changes: readonly MockChange[]) => void;
  readonly onMeasured?: (telemetry: MockTelemetry) => void;
  readonly saveMs?: number;
  /** Unix ms. */
  readonly now?: () => number;
}

/** What exists while this process plays the mocks: the world, and what keeps it in step with the registry. */
export interface MockPlay {
  readonly queue: MockQueue;
  readonly state: MockWorldState;
  /** Why events are not heard; null while they are. */
  readonly deaf: string | null;
  /** `forgets`: the broker keeps no events for the next start. `saves`: the registers are still ours. */
  stop(how: { readonly forgets: boolean; readonly saves: boolean }): Promise<void>;
}

/** As long a time is integrated anew after a kill; the load curve gives the same energy. */
const usualSaveMs = 30_000;
const firstLookMs = 500;
/** Warnings about events that are none. */
const warnEveryMs = 10_000;
/** A database that does not answer must not keep the process. */
const leaveMs = 2_000;

export function startMockPlay(options: MockPlayOptions): MockPlay {
  const { database, broker, log, signing, saveMs = usualSaveMs, now } = options;
  const { clientId, username, password, ...way } = broker;
  const stopping = new AbortController();
  const world = createMockWorld({
    host: way.host,
    port: way.port,
    tls: way.tls,
    trust: way.trust,
    seed: options.seed,
    telemetrySeconds: options.telemetrySeconds,
    onMeasured: options.onMeasured,
    onWarning: (line) => log.warn(line),
    ...(now === undefined ? {} : { now }),
  });
  const keeper = createMockKeeper({
    database,
    world,
    log,
    signal: stopping.signal,
    signer: (id) => (signing === undefined ? undefined : newSigner(signing.keys, id, signing.algorithm)),
    onChanges: (changes) => options.onChanges?.(changes),
  });
  const queue = createMockQueue(keeper, (line) => log.warn(line));
  // The subscription looks, too: without a broker nothing else would.
  const firstLook = setTimeout(() => queue.look(), firstLookMs);
  const warn = seldom((line) => log.warn(line));
  const ear = startEventEar({
    host: way.host,
    port: way.port,
    tls: way.tls,
    trust: way.trust,
    clientId: `${clientId}-mocks`,
    username,
    password,
    heard: hear,
    subscribed() {
      clearTimeout(firstLook);
      queue.look();
    },
  });
  let saving: Promise<void> | undefined;
  const saves = setInterval(save, saveMs);

  function hear(topic: string, payload: Buffer, settled: () => void): void {
    try {
      const event = asMockEvent(parsed(payload), topic, now?.());
      if (event !== null) return queue.add(event, settled);
      metrics.mockEvents.inc({ outcome: 'unchanged' });
    } catch (error) {
      metrics.mockEvents.inc({ outcome: 'refused' });
      warn(`${topic}: ${error instanceof Error ? error.message : String(error)}`);
    }
    settled();
  }

  /** One at a time; what fails is saved with the next. */
  function save(): void {
    saving ??= keeper
      .save()
      .catch(() => undefined)
      .finally(() => (saving = undefined));
  }

  async function finish(isOurs: boolean): Promise<void> {
    await saving;
    // Read before they leave. What another process plays by now is saved there.
    const kept = isOurs ? keeper.save().catch(() => undefined) : undefined;
    world.stop();
    await kept;
  }

  return {
    queue,
    get state() {
      return world.state;
    },
    get deaf() {
      return ear.reason;
    },
    async stop({ forgets, saves: isOurs }) {
      clearTimeout(firstLook);
      clearInterval(saves);
      ear.stop(forgets);
      stopping.abort();
      await within(leaveMs, queue.stop());
      await within(leaveMs, finish(isOurs));
      world.stop();
    },
  };
}

async function within(deadlineMs: number, work: Promise<void>): Promise<void> {
  const late = new AbortController();
  await Promise.race([work, delay(deadlineMs, undefined, { signal: late.signal }).catch(() => undefined)]);
  late.abort();
}

/** Anybody who may publish events can send what is none. */
function seldom(warn: (line: string) => void): (line: string) => void {
  let warnedAt = -Infinity;
  let withheld = 0;
  return (line) => {
    withheld += 1;
    if (performance.now() - warnedAt < warnEveryMs) return;
    warnedAt = performance.now();
    warn(withheld > 1 ? `${line} (and ${withheld - 1} more since the last warning)` : line);
    withheld = 0;
  };
}

function parsed(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString());
  } catch (error) {
    throw new DomainError('SCHEMA_INVALID', 'Not a device event: not JSON.', { cause: error });
  }
}
