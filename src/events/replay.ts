import type { Database } from '../database/database.js';
import type { ErrorDetail } from '../errors.js';
import { moment, refuseWrong } from '../http/page.js';
import type { MqttLink } from '../mqtt/link.js';
import { asEvent, type DeviceEvent } from './device-event.js';
import { selectPublishedEvents, selectRange } from './log-store.js';
import { publicationOf } from './publication.js';

/** Which events are wanted again. */
export interface ReplayRequest {
  /** Since when; null: from the beginning of the log. */
  readonly from: Date | null;
  /** Of this device only; null: of all. */
  readonly deviceId: string | null;
}

export interface ReplayOptions {
  readonly signal: AbortSignal;
  /** Pages, as the broker has acknowledged them. */
  readonly onReplayed?: (events: readonly DeviceEvent[]) => void;
}

const pageMax = 500;

/**
 * Reads `{from?, device_id?}`: `from` is a time ([M-11]) or `beginning`, which is also what nothing means.
 * @throws SCHEMA_INVALID naming each wrong field
 */
export function replayRequest(payload: unknown): ReplayRequest {
  const fields = (typeof payload === 'object' ? payload : null) ?? {};
  const { from, device_id: deviceId } = fields as { from?: unknown; device_id?: unknown };
  const wrong: ErrorDetail[] = [];
  const since = from === 'beginning' ? null : moment({ from }, 'from', wrong);
  if (deviceId !== undefined && deviceId !== null && typeof deviceId !== 'string')
    wrong.push({ path: '/device_id', message: 'must be the id of a device' });
  refuseWrong(wrong);
  return {
    from: since === null ? null : new Date(since),
    deviceId: typeof deviceId === 'string' && deviceId !== '' ? deviceId : null,
  };
}

/**
 * Publishes again what was published, in order, exactly as it was. What is still open leaves by itself; events that
 * come while it works are not part of it.
 * @returns how many
 * @throws BROKER_UNAVAILABLE, DATABASE_UNAVAILABLE; what was published until then is told
 */
export async function replayEvents(
  database: Database,
  link: MqttLink,
  { from, deviceId }: ReplayRequest,
  { signal, onReplayed = () => {} }: ReplayOptions,
): Promise<number> {
  const range = await selectRange(database, from);
  let { after } = range;
  let replayed = 0;
  for (;;) {
    signal.throwIfAborted();
    const rows = await selectPublishedEvents(database, { ...range, after, deviceId, limit: pageMax });
    const last = rows.at(-1);
    if (last === undefined) return replayed;
    const acknowledged = await link.publishInOrder(rows.map(publicationOf), signal);
    onReplayed(rows.slice(0, acknowledged).map(asEvent));
    replayed += acknowledged;
    // The broker took some of them and went away: the next page begins behind those, and fails if it stays away.
    after = rows[acknowledged - 1]?.id ?? last.id;
  }
}
