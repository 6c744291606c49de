import { setTimeout as delay } from 'node:timers/promises';
import { elapsedMs } from '../broker/clock.js';
import { deliveries } from '../broker/deliveries.js';
import { DomainError } from '../errors.js';
import { tlsOptions, type TlsOptions } from '../mqtt/trust.js';
import { metrics } from '../operation/metrics.js';
import { Intake } from './intake.js';
import { defaultInboundLimits, type Inbound, type InboundOptions, type SoleRight } from './options.js';
import { InboundSession, type SessionHost } from './session.js';
import { filtersOf } from './topics.js';

export type * from './options.js';

const backoffMinMs = 250;
const backoffMaxMs = 30_000;
/** A connection that held this long was good: the next attempt comes at once. */
const steadyMs = 10_000;
/** So often in a row a broker may answer a CONNECT of version 5 with silence before 3.1.1 is tried. */
const silencesMax = 3;

/** Client ids in use by this process: two nodes of one name would throw each other out for ever. */
const inUse = new Set<string>();

/**
 * Takes in from an external broker what its devices publish, and acknowledges it after the commit ([M-13]). Returns at
 * once and connects for ever until closed.
 * @throws DomainError CONFIGURATION when this process has already a connection of that client id
 */
export function openInbound(options: InboundOptions): Inbound {
  const limits = { ...defaultInboundLimits, ...options.limits };
  const { log } = options;
  const address = `${options.host}:${options.port}`;
  const identity = `${options.clientId}@${address}`;
  if (inUse.has(identity)) {
    throw new DomainError('CONFIGURATION', `Another node is connected to ${address} as ${options.clientId}.`);
  }
  inUse.add(identity);
  const intake = new Intake(options, limits.flowDeadlineMs);
  let session: InboundSession | undefined;
  let sole: SoleRight | undefined;
  let version: 4 | 5 = 5;
  let silences = 0;
  let hasSpoken = false;
  let canShare = options.group !== '';
  let claiming: Promise<SoleRight | undefined> | undefined;
  let isSharing = false;
  let refused: readonly string[] = [];
  let reason: string | null = null;
  let retryAt: number | null = null;
  let retry: NodeJS.Timeout | undefined;
  let backoffMs = backoffMinMs;
  let connects = 0;
  let closed = false;

  const host: SessionHost = {
    async welcomed(_current, { isResumed, shares }) {
      intake.resume(isResumed);
      hasSpoken = true;
      if (shares && canShare) return options.group;
      claiming ??= claim();
      await claiming;
      if (sole?.problem !== undefined) throw new Error(sole.problem);
      return '';
    },
    sharingRefused() {
      canShare = false;
    },
    opened(current, denied) {
      isSharing = current.isShared;
      refused = denied;
      reason = null;
      connects++;
      log?.info('Connected to broker', {
        broker: address,
        mqtt: version === 5 ? '5' : '3.1.1',
        shared: isSharing,
      });
      for (const filter of filtersOf(isSharing ? options.group : '')) {
        if (denied.includes(filter)) log?.warn(`The broker refused the subscription to ${filter}`);
        else log?.info(`Subscribed to: ${filter}`);
      }
    },
    published: (current, packet) => intake.take(current, packet),
    ended(current, why, answer) {
      intake.lost(current);
      session = undefined;
      if (closed) return;
      metrics.mqttConnectionErrors.inc();
      if (version === 5 && !hasSpoken && answer === 'silent') silences++;
      if (version === 5) version = answer === 'refused' || silences >= silencesMax ? 4 : 5;
      else if (!hasSpoken) [version, silences] = [5, 0]; // that was not it
      if (current.openedAt > 0 && elapsedMs() - current.openedAt > steadyMs) backoffMs = backoffMinMs;
      if (reason !== why) log?.warn(`Not connected to broker ${address}: ${why}`);
      reason = why;
      const waitMs = backoffMs * (0.5 + Math.random() / 2);
      backoffMs = Math.min(2 * backoffMs, backoffMaxMs);
      retryAt = Date.now() + waitMs;
      retry = setTimeout(connect, waitMs);
    },
  };

  async function claim(): Promise<SoleRight | undefined> {
    try {
      sole ??= await options.claim?.();
      if (closed) await sole?.close();
      return sole;
    } finally {
      claiming = undefined;
    }
  }

  function connect(): void {
    retryAt = null;
    // What the last connection left is still being stored: more would only grow the heap.
    if (intake.inflight >= limits.inflightMax) {
      retry = setTimeout(connect, backoffMinMs);
      return;
    }
    let secure: TlsOptions;
    try {
      // Read at each connect: certificates are renewed while we run.
      secure = options.tls && options.trust !== undefined ? tlsOptions(options.trust) : {};
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
      log?.warn(`Not connected to broker ${address}: ${reason}`);
      retry = setTimeout(connect, backoffMaxMs);
      return;
    }
    session = new InboundSession(
      { ...options, secure, version, inflightMax: limits.inflightMax, sessionSeconds: limits.sessionSeconds },
      host,
    );
  }

  /** The right to be the only one went with the connection to the database: another process may have it now. */
  const watch = setInterval(() => {
    if (sole?.problem !== undefined && session?.isOpen === true && !isSharing) session.end(sole.problem);
  }, 1_000);

  connect();
  return {
    stats: () => ({
      state: session?.isOpen === true ? 'open' : session === undefined ? 'waiting' : 'connecting',
      reason,
      retryAt,
      isShared: isSharing,
      refused,
      received: intake.received,
      inflight: intake.inflight,
      givenUp: intake.givenUp,
      connects,
    }),
    pause: () => intake.pauseFlow(),
    resume: () => intake.resumeFlow(),
    async close({ drainMs = 3_000 } = {}) {
      if (closed) return;
      closed = true;
      clearTimeout(retry);
      clearInterval(watch);
      session?.pause();
      intake.flush();
      await drained(intake, drainMs);
      session?.leave();
      intake.close();
      await sole?.close();
      inUse.delete(identity);
    },
  };
}

/** Until nothing is in flight but what no store took within a moment: the flow is going away, too. */
async function drained(intake: Intake, drainMs: number): Promise<void> {
  const start = elapsedMs();
  const momentMs = Math.min(200, drainMs);
  for (;;) {
    const passed = elapsedMs() - start;
    if (intake.inflight === 0 || passed >= drainMs) return;
    if (passed >= momentMs && deliveries.held(intake) === 0) return;
    await delay(20);
  }
}
