import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { isTransient, untilCommitted, type Database } from '../database/database.js';
import type { MqttLink } from '../mqtt/link.js';
import { metrics } from '../operation/metrics.js';
import { asEvent, type DeviceEvent, type EventRow } from './device-event.js';
import { claimEvents, closeEvents, countOpenEvents, freeEarlierClaims } from './event-store.js';
import { forgetOldEvents } from './log-store.js';
import { publicationOf } from './publication.js';

export interface PublishedEvent {
  readonly event: DeviceEvent;
  /** From the change to the broker's acknowledgement, written down. */
  readonly lagSeconds: number;
}

export interface EventRelayOptions {
  /** Names this process in the outbox. */
  readonly instance: string;
  /** Events of one turn: claimed, published and written down together. */
  readonly batchMax?: number;
  /** For how long nobody else takes the events of a turn: longer than the broker is waited for. */
  readonly claimSeconds?: number;
  /** Days for which published events are kept; absent: for ever. */
  readonly keepDays?: number | undefined;
  /** In the order in which the broker got them. */
  readonly onPublished?: (published: readonly PublishedEvent[]) => void;
  /** Why nothing leaves at the moment, for people; null: it does again. */
  readonly onState?: (reason: string | null) => void;
}

export interface EventRelay {
  /** Events that have not left, as counted last. */
  readonly open: number;
  /** Looks for events now; it does so by itself when the database says that there are any. */
  wake(): void;
  /** Begins no further turn until `resume`. */
  pause(): void;
  resume(): void;
  close(): Promise<void>;
}

const pollMs = 1_000;
const countMs = 1_000;
const forgetMs = 3_600_000;
const closeMs = 1_500;
/** This run of the program: what an earlier one had claimed is free again. */
const run = randomUUID().slice(0, 8);
let relays = 0;

/**
 * Publishes device events from the outbox ([M-8], [L-4]), any number of relays side by side. One turn after another:
 * claim, send all in order over one connection, write down. What the broker did not acknowledge is open again and goes
 * out first in a later turn, so an event may be published twice, but never before an earlier one of its device.
 */
export function startEventRelay(database: Database, link: MqttLink, options: EventRelayOptions): EventRelay {
  const { instance, batchMax = 500, claimSeconds = 25, keepDays } = options;
  const { onPublished = () => {}, onState = () => {} } = options;
  // Two relays of one process are two.
  const claimer = { instance, run, relay: String(++relays) };
  const closing = new AbortController();
  const cut = new AbortController();
  let isFirst = true;
  let isWanted = false;
  let isPaused = false;
  let running: Promise<void> | undefined;
  let open = 0;
  let state: string | null = null;

  function show(reason: string | null): void {
    if (reason === state) return;
    state = reason;
    onState(reason);
  }

  async function drain(): Promise<void> {
    while (isWanted && mayWork()) {
      isWanted = false;
      try {
        await link.ready(closing.signal);
        if (isFirst) await freeEarlierClaims(database, claimer);
        isFirst = false;
        while (mayWork() && (await turn()));
        show(null);
      } catch (error) {
        // The next poll tries again.
        if (!closing.signal.aborted) show(error instanceof Error ? error.message : String(error));
      }
    }
  }

  function mayWork(): boolean {
    return !isPaused && !closing.signal.aborted;
  }

  /** @returns whether there may be more */
  async function turn(): Promise<boolean> {
    const begun = performance.now();
    const claimed = await claimEvents(database, { most: batchMax, claimer, seconds: claimSeconds });
    if (claimed.length === 0) return false;
    // It might run out before the broker has answered, for which the link waits 10 s: somebody else would overtake us.
    const isLate = performance.now() - begun > claimSeconds * 400 || closing.signal.aborted;
    let acknowledged = 0;
    try {
      if (!isLate) acknowledged = await link.publishInOrder(claimed.map(publicationOf), cut.signal);
    } finally {
      await writeDown(claimed, acknowledged);
    }
    return acknowledged === claimed.length;
  }

  async function writeDown(claimed: readonly EventRow[], acknowledged: number): Promise<void> {
    const ids = claimed.map(({ id }) => id);
    const [published, others] = [ids.slice(0, acknowledged), ids.slice(acknowledged)];
    // As long as the database is away, or until the claim has run out.
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(claimSeconds * 1000)]);
    const closed = await untilCommitted(
      database,
      () => closeEvents(database, claimer, { published, others }),
      {
        signal,
        onHold: show,
      },
    );
    const lags = new Map(closed.map(({ id, lagSeconds }) => [id, lagSeconds]));
    const told = claimed.slice(0, acknowledged).map((row) => {
      const lagSeconds = lags.get(row.id) ?? 0;
      metrics.deviceEvents.inc({ event_type: row.event_type });
      metrics.deviceEventLagSeconds.observe(lagSeconds);
      return { event: asEvent(row), lagSeconds };
    });
    if (told.length > 0) onPublished(told);
  }

  function wake(): void {
    isWanted = true;
    if (!mayWork()) return;
    running ??= drain().finally(() => {
      running = undefined;
      if (isWanted) wake();
    });
  }

  async function count(): Promise<void> {
    open = await countOpenEvents(database);
    metrics.deviceEventsOpen.set(open);
  }

  async function forget(): Promise<void> {
    if (keepDays === undefined) return;
    while (!closing.signal.aborted && (await forgetOldEvents(database, keepDays)));
  }

  /** Beside the work; what a database that is away prevents is done the next time. */
  const beside = (work: () => Promise<void>) => (): void => {
    work().catch((error: unknown) => {
      if (!isTransient(error)) show(error instanceof Error ? error.message : String(error));
    });
  };
  const listening = database.listen('device_events_changed', { handler: wake, reset: wake });
  const timers = [
    setInterval(wake, pollMs),
    setInterval(beside(count), countMs),
    setInterval(beside(forget), forgetMs),
  ];
  wake();
  beside(count)();
  beside(forget)();

  return {
    get open() {
      return open;
    },
    wake,
    pause: () => void (isPaused = true),
    resume() {
      isPaused = false;
      wake();
    },
    async close() {
      closing.abort();
      for (const timer of timers) clearInterval(timer);
      await (
        await listening
      )();
      // A turn ends by itself in some milliseconds. What a broker does not answer is open again; what a database does
      // not answer is published again by the next relay.
      await Promise.race([running, delay(closeMs, undefined, { ref: false })]);
      cut.abort();
      await Promise.race([running, delay(closeMs, undefined, { ref: false })]);
    },
  };
}
