import type { Session } from '../database/database.js';
import type { ReplayOutcome } from './quarantined-message.js';

/** A quarantined message as it is replayed: what arrived, byte for byte. */
export interface ReplayRow {
  readonly id: string;
  readonly device_id: string | null;
  readonly meter_id: string | null;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly code: string;
  readonly payload: Buffer;
  readonly received_at: Date;
}

export async function findReplayRow(database: Session, id: string): Promise<ReplayRow | null> {
  const { rows } = await database.query<ReplayRow>({
    name: 'replay-find',
    text: `select id, device_id, meter_id, topic, qos, code, payload, received_at
             from quarantined_messages where id = $1::bigint`,
    values: [id],
  });
  return rows[0] ?? null;
}

/**
 * Keeps every other replay, and a deletion, of this row out until the transaction ends.
 * @returns the outcome of the replay before; undefined when there is no such row
 */
export async function lockForReplay(tx: Session, id: string): Promise<ReplayOutcome | null | undefined> {
  const { rows } = await tx.query<{ replay_outcome: ReplayOutcome | null }>({
    name: 'replay-lock',
    text: `select replay_outcome from quarantined_messages where id = $1::bigint for update`,
    values: [id],
  });
  return rows[0]?.replay_outcome;
}

export async function markReplayed(
  tx: Session,
  id: string,
  outcome: ReplayOutcome,
  refusal: { readonly code: string; readonly reason: string } | null,
): Promise<Date> {
  const { rows } = await tx.query<{ replayed_at: Date }>({
    name: 'replay-mark',
    text: `update quarantined_messages
              set replayed_at = now(), replay_outcome = $2, replay_code = $3, replay_reason = $4
            where id = $1::bigint returning replayed_at`,
    values: [id, outcome, refusal?.code ?? null, refusal?.reason.replaceAll('\0', '\uFFFD') ?? null],
  });
  return rows[0]?.replayed_at ?? new Date();
}

export interface DeletedRow extends ReplayRow {
  readonly replay_outcome: ReplayOutcome | null;
}

export async function deleteQuarantined(tx: Session, id: string): Promise<DeletedRow | null> {
  const { rows } = await tx.query<DeletedRow>({
    text: `delete from quarantined_messages where id = $1::bigint
           returning id, device_id, meter_id, topic, qos, code, payload, received_at, replay_outcome`,
    values: [id],
  });
  return rows[0] ?? null;
}

/** Whose each of these meters is; a meter that is not registered is not in the map. */
export async function ownersOf(
  database: Session,
  meterIds: readonly string[],
): Promise<Map<string, string | null>> {
  const { rows } = await database.query<{ meter_id: string; user_id: string | null }>({
    name: 'replay-owners',
    text: `select meter_id, user_id from devices where meter_id = any($1::text[])`,
    values: [meterIds],
  });
  return new Map(rows.map(({ meter_id, user_id }) => [meter_id, user_id]));
}
