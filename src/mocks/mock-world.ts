import { createSecureContext } from 'node:tls';
import { tlsOptions, type TlsOptions, type Trust } from '../mqtt/trust.js';
import { metrics } from '../operation/metrics.js';
import type { BrokerAddress } from './light-connection.js';
import { MockDevice } from './mock-device.js';
import type { MockHost, MockTelemetry } from './mock-host.js';
import type { Signer } from './mock-readings.js';
import type { MockRow, MockState } from './mock-store.js';
import { startTimerWheel } from './timer-wheel.js';

export interface MockWorldOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly trust: Trust | undefined;
  readonly seed: number;
  /** 0: no telemetry, only the readings of meters. */
  readonly telemetrySeconds: number;
  /** Hears what each mock measures, once a round. */
  readonly onMeasured?: ((telemetry: MockTelemetry) => void) | undefined;
  readonly onWarning?: (line: string) => void;
  /** Unix ms. */
  readonly now?: () => number;
}

export interface MockWorldState {
  readonly mocks: number;
  readonly online: number;
  readonly power_kw: number;
  /** Readings of meters that wait for their acknowledgement. */
  readonly waiting: number;
  /** Of the last mock that went offline; null while all are online. */
  readonly reason: string | null;
}

/** All mocks of a process: one timer, and a connection of its own for each, since nobody speaks for another ([M-12]). */
export interface MockWorld {
  has(id: string): boolean;
  /** Whether this mock has what it signs its readings with. */
  signs(id: string): boolean;
  admit(row: MockRow, password: string, sign: Signer | undefined): void;
  change(row: MockRow, sign: Signer | undefined): void;
  remove(id: string): void;
  /** Of all mocks, as they are kept for the next start. */
  states(): MockState[];
  readonly state: MockWorldState;
  /** Leaves the broker, all at once. */
  stop(): void;
}

/** Rounds without telemetry are as long as with it, for readings and pings. */
const usualRoundMs = 5_000;
/** Connections that are being made at a time: a broker is not stormed. */
const openingMax = 64;
/** Certificates are renewed while we run. */
const trustedMs = 10_000;

export function createMockWorld(options: MockWorldOptions): MockWorld {
  const { now = Date.now, telemetrySeconds } = options;
  const mocks = new Map<string, MockDevice>();
  const queue: MockDevice[] = [];
  const opening = new Set<MockDevice>();
  const address = addressOf(options);
  let online = 0;
  let reason: string | null = null;

  const host: MockHost = {
    seed: options.seed,
    sendsTelemetry: telemetrySeconds > 0,
    now,
    address,
    opened(mock) {
      opening.delete(mock);
      metrics.mocksOnline.set(++online);
      // Only a success draws the next at once: one that failed waits for the wheel.
      openSome();
    },
    closed(mock, why) {
      if (!opening.delete(mock)) metrics.mocksOnline.set(--online);
      reason = why;
    },
    sent: () => metrics.mockTelemetry.inc(),
    dropped: () => metrics.mockTelemetryDropped.inc(),
    measured: (telemetry) => options.onMeasured?.(telemetry),
    warn: (line) => options.onWarning?.(line),
  };
  const roundMs = telemetrySeconds > 0 ? telemetrySeconds * 1_000 : usualRoundMs;
  const wheel = startTimerWheel<MockDevice>(roundMs, turn, openSome);

  function turn(mock: MockDevice): void {
    mock.tick();
    if (mock.isDue) enqueue(mock);
  }

  function enqueue(mock: MockDevice): void {
    mock.isQueued = true;
    queue.push(mock);
  }

  function openSome(): void {
    const free = openingMax - opening.size;
    for (const mock of queue.splice(0, Math.max(0, free))) {
      mock.isQueued = false;
      if (mock.isGone) continue;
      opening.add(mock);
      mock.open();
    }
  }

  function retire(mock: MockDevice): void {
    wheel.remove(mock);
    if (mock.isOnline) metrics.mocksOnline.set(--online);
    opening.delete(mock);
    mock.leave();
  }

  return {
    has: (id) => mocks.has(id),
    signs: (id) => mocks.get(id)?.signs ?? false,
    admit(row, password, sign) {
      const before = mocks.get(row.id);
      if (before !== undefined) retire(before);
      const mock = new MockDevice(row, password, sign, host);
      mocks.set(row.id, mock);
      metrics.mocks.set(mocks.size);
      wheel.add(mock);
      enqueue(mock);
    },
    change(row, sign) {
      mocks.get(row.id)?.change(row, sign);
    },
    remove(id) {
      const mock = mocks.get(id);
      if (mock === undefined) return;
      mocks.delete(id);
      metrics.mocks.set(mocks.size);
      retire(mock);
    },
    states: () => [...mocks.values()].map((mock) => mock.state()),
    get state() {
      let [power, waiting] = [0, 0];
      for (const mock of mocks.values()) {
        power += mock.power;
        waiting += mock.waiting;
      }
      const isWhole = online === mocks.size;
      const power_kw = Math.round(power * 1_000) / 1_000;
      return { mocks: mocks.size, online, power_kw, waiting, reason: isWhole ? null : reason };
    },
    stop() {
      wheel.stop();
      for (const mock of mocks.values()) retire(mock);
      mocks.clear();
      queue.length = 0;
      opening.clear();
      metrics.mocks.set(0);
    },
  };
}

/** Thousands of connections share one TLS context: each of its own would parse the certificates again. */
function addressOf({ host, port, tls, trust }: MockWorldOptions): () => BrokerAddress {
  let secure: (TlsOptions & { secureContext?: ReturnType<typeof createSecureContext> }) | undefined;
  let readAt = -Infinity;
  return () => {
    if (tls && performance.now() - readAt > trustedMs) {
      try {
        const { checkServerIdentity, ...context } = trust === undefined ? {} : tlsOptions(trust);
        secure = {
          secureContext: createSecureContext(context),
          ...(checkServerIdentity === undefined ? {} : { checkServerIdentity }),
        };
      } catch (error) {
        // In the middle of a renewal; the one read before is tried.
        if (secure === undefined) throw error;
      }
      readAt = performance.now();
    }
    return { host, port, secure };
  };
}
