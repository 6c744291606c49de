import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { untilCommitted, type Database } from '../database/database.js';
import { DomainError } from '../errors.js';
import type { MqttLink } from '../mqtt/link.js';
import { metrics } from '../operation/metrics.js';
import { startEventEar, type EventEar } from './event-ear.js';
import type { MockTelemetry } from './mock-device.js';
import { asMockEvent } from './mock-event.js';
import { createMockKeeper, type MockKeeper, type MockLog } from './mock-keeper.js';
import { createMockQueue, type MockQueue } from './mock-queue.js';
import { claimWorld, releaseWorld, type MockChange } from './mock-store.js';
import { createMockWorld, type MockWorld, type MockWorldState } from './mock-world.js';
import { newSigner, type SigningKeys } from './signing.js';

export type BrokerWay = Pick<
  MqttLink,
  'host' | 'port' | 'tls' | 'trust' | 'clientId' | 'username' | 'password'
>;

export interface MockSyncOptions {
  readonly database: Database;
  readonly broker: BrokerWay;
  /** Names this process to others that wait for the mocks. */
  readonly instance: string;
  readonly seed: number;
  /** 0: no telemetry. */
  readonly telemetrySeconds: number;
  /** Meters sign by this; undefined: they do not. */
  readonly signing?:
    { readonly keys: SigningKeys; readonly algorithm: 'hmac-sha256' | 'ed25519' } | undefined;
  readonly log: MockLog;
  readonly onChanges?: (changes: readonly MockChange[]) => void;
  readonly onMeasured?: (telemetry: MockTelemetry) => void;
  /** How long another process waits for a silent one, ms. */
  readonly leaseMs?: number;
  readonly saveMs?: number;
  /** Unix ms. */
  readonly now?: () => number;
}

export interface MockSyncState extends MockWorldState {
  /** standby: another process plays the mocks of this database. */
  readonly role: 'starting' | 'standby' | 'playing';
  readonly holder: string | null;
  /** Why events are not heard; null while they are. */
  readonly deaf: string | null;
  /** Events that wait for the database. */
  readonly pending: number;
  readonly problem: string | null;
}

/** A world of mocks beside the real devices, kept in step with them ([L-3]). */
export interface MockSync {
  start(): void;
  /**
   * Takes in events of somebody else's. @throws SCHEMA_INVALID before any is applied; METER_ID_TAKEN;
   * CONFIGURATION while another process plays the mocks
   */
  take(inputs: readonly unknown[], topic: string, signal: AbortSignal): Promise<void>;
  /** `forgets`: the broker keeps no events for the next start. */
  stop(forgets: boolean): Promise<void>;
  readonly state: MockSyncState;
}

const usualLeaseMs = 15_000;
/** As long a time is integrated anew after a kill; the load curve gives the same energy. */
const usualSaveMs = 30_000;
/** Warnings about events that are none. */
const warnEveryMs = 10_000;
const readyMs = 50;
const firstLookMs = 500;
/** A database that does not answer must not keep the process. */
const leaveMs = 2_000;
const nothing: MockWorldState = { mocks: 0, online: 0, power_kw: 0, waiting: 0, reason: null };

/** What exists while this process plays the mocks. */
interface Play {
  readonly world: MockWorld;
  readonly keeper: MockKeeper;
  readonly queue: MockQueue;
  readonly ear: EventEar;
  readonly first: NodeJS.Timeout;
  readonly stopping: AbortController;
}

export function createMockSync(options: MockSyncOptions): MockSync {
  const { database, broker, log, leaseMs = usualLeaseMs, saveMs = usualSaveMs } = options;
  const holder = `${options.instance} ${randomUUID()}`;
  const closing = new AbortController();
  let play: Play | undefined;
  let other: string | null = null;
  let running: Promise<void> | undefined;
  let forgetsAll = false;
  let warnedAt = -Infinity;
  let withheld = 0;

  async function run(): Promise<void> {
    const { signal } = closing;
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      const claim = () => claimWorld(database, holder, leaseMs, isFirst);
      const held = await untilCommitted(database, claim, { signal });
      if (held === holder) {
        other = null;
        await playUntilLost();
      } else {
        if (other !== held) log.info(`${nameOf(held)} plays the mocks of this database; waiting for its end`);
        other = held;
        await pause(leaseMs / 3, signal);
      }
    }
  }

  async function playUntilLost(): Promise<void> {
    const { signal } = closing;
    play = begin();
    const saving = setInterval(() => void play?.keeper.save().catch(() => undefined), saveMs);
    let isHeld = true;
    while (isHeld && !signal.aborted) {
      await pause(leaseMs / 3, signal);
      // While the database is away nobody else can claim them either.
      const held = await claimWorld(database, holder, leaseMs, false).catch(() => holder);
      isHeld = held === holder;
    }
    clearInterval(saving);
    await end(isHeld);
  }

  function begin(): Play {
    const stopping = new AbortController();
    const { host, port, tls, trust, clientId, username, password } = broker;
    const { seed, telemetrySeconds, signing, onMeasured, now } = options;
    const world = createMockWorld({
      host,
      port,
      tls,
      trust,
      seed,
      telemetrySeconds,
      onMeasured,
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
    const first = setTimeout(() => queue.look(), firstLookMs);
    const ear = startEventEar({
      host,
      port,
      tls,
      trust,
      clientId: `${clientId}-mocks`,
      username,
      password,
      heard: (topic, payload, settled) => hear(queue, topic, payload, settled),
      subscribed() {
        clearTimeout(first);
        queue.look();
      },
    });
    return { world, keeper, queue, ear, first, stopping };
  }

  function hear(queue: MockQueue, topic: string, payload: Buffer, settled: () => void): void {
    try {
      const event = asMockEvent(parsed(payload), topic, options.now?.());
      if (event !== null) return queue.add(event, settled);
      metrics.mockEvents.inc({ outcome: 'unchanged' });
    } catch (error) {
      metrics.mockEvents.inc({ outcome: 'refused' });
      warn(`${topic}: ${error instanceof Error ? error.message : String(error)}`);
    }
    settled();
  }

  /** Anybody who may publish events can send what is none. */
  function warn(line: string): void {
    withheld += 1;
    if (performance.now() - warnedAt < warnEveryMs) return;
    warnedAt = performance.now();
    log.warn(withheld > 1 ? `${line} (and ${withheld - 1} more since the last warning)` : line);
    withheld = 0;
  }

  async function end(isOurs: boolean): Promise<void> {
    const ended = play;
    play = undefined;
    if (ended === undefined) return;
    clearTimeout(ended.first);
    ended.ear.stop(forgetsAll);
    ended.stopping.abort();
    await ended.queue.stop();
    // Read before they leave. A world that another process plays by now is saved there.
    const kept = isOurs ? leaveWorld(ended.keeper) : Promise.resolve();
    ended.world.stop();
    await Promise.race([kept, delay(leaveMs, undefined, { ref: false })]);
  }

  /** With a database that is away the others wait until the claim has run out. */
  async function leaveWorld(keeper: MockKeeper): Promise<void> {
    await keeper.save().catch(() => undefined);
    await releaseWorld(database, holder).catch(() => undefined);
  }

  return {
    start() {
      running ??= run().catch((error: unknown) => {
        if (!closing.signal.aborted) log.warn(error instanceof Error ? error.message : String(error));
      });
    },
    async take(inputs, topic, signal) {
      const now = options.now?.();
      const events = inputs.map((input) => asMockEvent(input, topic, now)).filter((event) => event !== null);
      const queue = await ready(signal);
      await Promise.all(
        events.map(
          (event) =>
            new Promise<void>((resolve, reject) =>
              queue.add(event, (problem) => (problem === undefined ? resolve() : reject(problem))),
            ),
        ),
      );
    },
    async stop(forgets) {
      forgetsAll = forgets;
      closing.abort();
      await running;
    },
    get state(): MockSyncState {
      return {
        ...(play?.world.state ?? nothing),
        role: play !== undefined ? 'playing' : other === null ? 'starting' : 'standby',
        holder: other === null ? null : nameOf(other),
        deaf: play === undefined ? 'not playing' : play.ear.reason,
        pending: play?.queue.size ?? 0,
        problem: play?.queue.problem ?? null,
      };
    },
  };

  /** @throws CONFIGURATION when another process plays the mocks */
  async function ready(signal: AbortSignal): Promise<MockQueue> {
    for (;;) {
      if (play !== undefined) return play.queue;
      if (other !== null)
        throw new DomainError(
          'CONFIGURATION',
          `${nameOf(other)} plays the mocks of this database: events must reach it, or the broker.`,
        );
      const ended = AbortSignal.any([signal, closing.signal]);
      ended.throwIfAborted();
      await pause(readyMs, ended);
    }
  }
}

function nameOf(holder: string): string {
  return holder.replace(/ [0-9a-f-]{36}$/, '');
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

function parsed(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString());
  } catch (error) {
    throw new DomainError('SCHEMA_INVALID', 'Not a device event: not JSON.', { cause: error });
  }
}
