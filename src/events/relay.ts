import { randomUUID } from 'node:crypto';
import type { Database } from '../database/database.js';
import { startOutboxLoop, within } from '../database/outbox-loop.js';
import type { MqttLink } from '../mqtt/link.js';
import { metrics } from '../operation/metrics.js';
import { countOpenEvents, freeEarlierClaims } from './event-store.js';
import { forgetOldEvents } from './log-store.js';
import { takeTurn, type PublishedEvent, type TurnParts } from './turn.js';

export type { PublishedEvent } from './turn.js';

export interface EventRelayOptions {
  /** Names this process in the outbox. */
  readonly instance: string;
  /** Events of one turn: claimed, published and written down together. 200 keep the event loop busy for some 12 ms. */
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

/**
 * A change is silent when it saw another event of the last second that was still open (0012_device_events.sql): so after
 * an event a relay looks again for longer than that, first soon, then with growing pauses.
 */
const lookAgain = { firstMs: 5, mostMs: 100, forMs: 2_000 };
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
  const { instance, batchMax = 200, claimSeconds = 25, keepDays } = options;
  const { onPublished = () => {}, onState = () => {} } = options;
  // Two relays of one process are two.
  const claimer = { instance, run, relay: String(++relays) };
  const loop = startOutboxLoop(database, { channel: 'device_events_changed', drain, onState, onIdle });
  const cut = new AbortController();
  const parts: TurnParts = {
    database,
    link,
    claimer,
    batchMax,
    claimSeconds,
    closing: loop.stopping,
    cut: cut.signal,
    onPublished,
    onHold: loop.show,
  };
  let isFirst = true;
  let foundAt = -Infinity;
  let pauseMs = lookAgain.firstMs;
  let soon: NodeJS.Timeout | undefined;
  let open = 0;

  async function drain(): Promise<void> {
    await link.ready(loop.stopping);
    if (isFirst) await freeEarlierClaims(database, claimer);
    isFirst = false;
    while (loop.mayWork() && (await turn()));
    loop.show(null);
  }

  /** @returns whether there may be more */
  async function turn(): Promise<boolean> {
    const { claimed, acknowledged } = await takeTurn(parts);
    if (claimed === 0) return false;
    foundAt = performance.now();
    pauseMs = lookAgain.firstMs;
    return acknowledged === claimed;
  }

  function onIdle(): void {
    clearTimeout(soon);
    if (!loop.mayWork() || performance.now() - foundAt > lookAgain.forMs) return;
    soon = setTimeout(loop.wake, pauseMs);
    pauseMs = Math.min(2 * pauseMs, lookAgain.mostMs);
  }

  async function count(): Promise<void> {
    open = await countOpenEvents(database);
    metrics.deviceEventsOpen.set(open);
  }

  async function forget(): Promise<void> {
    if (keepDays === undefined) return;
    while (!loop.stopping.aborted && (await forgetOldEvents(database, keepDays)));
  }

  loop.wake();
  loop.every(countMs, count);
  loop.every(forgetMs, forget);

  return {
    get open() {
      return open;
    },
    wake: loop.wake,
    pause: loop.pause,
    resume: loop.resume,
    async close() {
      clearTimeout(soon);
      await loop.stop();
      // A turn ends by itself in some milliseconds. What a broker does not answer is open again; what a database does
      // not answer is published again by the next relay.
      await within(closeMs, [loop.running]);
      cut.abort();
      await within(closeMs, [loop.running]);
    },
  };
}
