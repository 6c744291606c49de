import { untilCommitted, type Database } from '../database/database.js';
import type { MqttLink } from '../mqtt/link.js';
import { metrics } from '../operation/metrics.js';
import { asEvent, type DeviceEvent, type EventRow } from './device-event.js';
import { claimEvents, closeEvents, type Claimer } from './event-store.js';
import { publicationOf } from './publication.js';

export interface PublishedEvent {
  readonly event: DeviceEvent;
  /** From the change to the broker's acknowledgement, written down. */
  readonly lagSeconds: number;
}

export interface TurnParts {
  readonly database: Database;
  readonly link: MqttLink;
  readonly claimer: Claimer;
  /** Events of one turn: claimed, published and written down together. */
  readonly batchMax: number;
  /** For how long nobody else takes them. */
  readonly claimSeconds: number;
  /** Nothing more is begun. */
  readonly closing: AbortSignal;
  /** The broker's answers are not awaited any more. */
  readonly cut: AbortSignal;
  /** In the order in which the broker got them. */
  readonly onPublished: (published: readonly PublishedEvent[]) => void;
  /** The database is away: what was published is written down when it is back. */
  readonly onHold: (reason: string) => void;
}

/** How many events were there for this turn, and how many of them the broker has. */
export interface TurnTaken {
  readonly claimed: number;
  readonly acknowledged: number;
}

/** Claims open events, sends them in order over one connection, and writes down which of them the broker has. */
export async function takeTurn(parts: TurnParts): Promise<TurnTaken> {
  const { database, link, claimer, batchMax, claimSeconds } = parts;
  const begun = performance.now();
  const claimed = await claimEvents(database, { most: batchMax, claimer, seconds: claimSeconds });
  if (claimed.length === 0) return { claimed: 0, acknowledged: 0 };
  // It might run out before the broker has answered, for which the link waits 10 s: somebody else would overtake us.
  const isLate = performance.now() - begun > claimSeconds * 400 || parts.closing.aborted;
  let acknowledged = 0;
  try {
    if (!isLate) acknowledged = await link.publishInOrder(claimed.map(publicationOf), parts.cut);
  } finally {
    await writeDown(parts, claimed, acknowledged);
  }
  return { claimed: claimed.length, acknowledged };
}

async function writeDown(
  { database, claimer, claimSeconds, closing, onHold, onPublished }: TurnParts,
  claimed: readonly EventRow[],
  acknowledged: number,
): Promise<void> {
  const ids = claimed.map(({ id }) => id);
  const outcome = { published: ids.slice(0, acknowledged), others: ids.slice(acknowledged) };
  // As long as the database is away, or until the claim has run out.
  const signal = AbortSignal.any([closing, AbortSignal.timeout(claimSeconds * 1000)]);
  const closed = await untilCommitted(database, () => closeEvents(database, claimer, outcome), {
    signal,
    onHold,
  });
  const lags = new Map(closed.map(({ id, lagSeconds }) => [id, lagSeconds]));
  const published = claimed.slice(0, acknowledged).map((row) => {
    const lagSeconds = lags.get(row.id) ?? 0;
    metrics.deviceEvents.inc({ event_type: row.event_type });
    metrics.deviceEventLagSeconds.observe(lagSeconds);
    return { event: asEvent(row), lagSeconds };
  });
  if (published.length > 0) onPublished(published);
}
