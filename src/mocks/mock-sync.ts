import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { untilCommitted } from '../database/database.js';
import { DomainError } from '../errors.js';
import { claimWorld, releaseWorld } from './mock-claim-store.js';
import { asMockEvent } from './mock-event.js';
import { startMockPlay, type MockPlay, type MockPlayOptions } from './mock-play.js';
import type { MockQueue } from './mock-queue.js';
import type { MockWorldState } from './mock-world.js';

export interface MockSyncOptions extends MockPlayOptions {
  /** Names this process to others that wait for the mocks. */
  readonly instance: string;
  /** How long another process waits for a silent one, ms. */
  readonly leaseMs?: number;
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

/** A world of mocks beside the real devices, kept in step with them, by one process at a time ([L-3]). */
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
const readyMs = 50;
/** A database that does not answer must not keep the process; the claim runs out. */
const releaseMs = 1_000;
const nothing: MockWorldState = { mocks: 0, online: 0, power_kw: 0, waiting: 0, reason: null };

export function createMockSync(options: MockSyncOptions): MockSync {
  const { database, log, leaseMs = usualLeaseMs } = options;
  const holder = `${options.instance} ${randomUUID()}`;
  const closing = new AbortController();
  const { signal: closed } = closing;
  let play: MockPlay | undefined;
  let other: string | null = null;
  let failure: string | null = null;
  let running: Promise<void> | undefined;
  let forgets = false;

  async function run(): Promise<void> {
    for (let isFirst = true; !closed.aborted; isFirst = false) {
      const claim = () => claimWorld(database, holder, leaseMs, isFirst);
      const held = await untilCommitted(database, claim, { signal: closed });
      if (held === holder) {
        other = null;
        await playUntilLost();
      } else {
        if (other !== held) log.info(`${nameOf(held)} plays the mocks of this database; waiting for its end`);
        other = held;
        await pause(leaseMs / 3, closed);
      }
    }
  }

  async function playUntilLost(): Promise<void> {
    const playing = (play = startMockPlay(options));
    let isHeld = true;
    for (;;) {
      await pause(leaseMs / 3, closed);
      if (closed.aborted) break;
      // While the database is away nobody else can claim them either.
      isHeld = (await claimWorld(database, holder, leaseMs, false).catch(() => holder)) === holder;
      if (!isHeld) break;
    }
    play = undefined;
    await playing.stop({ forgets, saves: isHeld });
    if (!isHeld) return;
    const released = releaseWorld(database, holder).catch(() => undefined);
    await Promise.race([released, delay(releaseMs, undefined, { ref: false })]);
  }

  /** @throws CONFIGURATION when another process plays the mocks */
  async function ready(signal: AbortSignal): Promise<MockQueue> {
    for (;;) {
      if (play !== undefined) return play.queue;
      if (other !== null)
        throw new DomainError(
          'CONFIGURATION',
          `${nameOf(other)} plays the mocks of this database: events must reach it, or the broker.`,
        );
      const ended = AbortSignal.any([signal, closed]);
      ended.throwIfAborted();
      await pause(readyMs, ended);
    }
  }

  return {
    start() {
      running ??= run().catch((error: unknown) => {
        if (closed.aborted) return;
        failure = error instanceof Error ? error.message : String(error);
        log.warn(failure);
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
    async stop(forgetsAll) {
      forgets = forgetsAll;
      closing.abort();
      await running;
    },
    get state(): MockSyncState {
      return {
        ...(play?.state ?? nothing),
        role: play !== undefined ? 'playing' : other === null ? 'starting' : 'standby',
        holder: other === null ? null : nameOf(other),
        deaf: play === undefined ? 'not playing' : play.deaf,
        pending: play?.queue.size ?? 0,
        problem: failure ?? play?.queue.problem ?? null,
      };
    },
  };
}

function nameOf(holder: string): string {
  return holder.replace(/ [0-9a-f-]{36}$/, '');
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
