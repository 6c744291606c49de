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

/** The device that a topic names: `{m}` is a meter_id or a drn, `{id}` an id ([M-12]). */
export async function findSender(
  database: Session,
  topic: string,
): Promise<{ readonly device_id: string; readonly meter_id: string } | null> {
  const [family, name] = topic.split('/', 2);
  const { rows } = await database.query<{ device_id: string; meter_id: string }>({
    name: 'replay-sender',
    text: `select id as device_id, meter_id from devices
            where case $1 when 'devices' then id = $2
                          when 'meters' then $2 in (meter_id, drn)
                          when 'smartmeter' then $2 in (meter_id, drn) else false end
            order by meter_id = $2 desc limit 1`,
    values: [family, name?.replaceAll('\0', '\uFFFD')],
  });
  return rows[0] ?? null;
}

/** What the registry says of a meter. */
export interface RegisteredMeter {
  readonly meter_id: string;
  readonly user_id: string | null;
  /** It has a key, so its readings must be signed. */
  readonly signs: boolean;
}

/** Those of these meters that are registered, by meter_id. */
export async function findMeters(
  database: Session,
  meterIds: readonly string[],
): Promise<Map<string, RegisteredMeter>> {
  const { rows } = await database.query<RegisteredMeter>({
    name: 'replay-meters',
    text: `select d.meter_id, d.user_id,
                  exists (select 1 from device_keys k where k.meter_id = d.meter_id) as signs
             from devices d where d.meter_id = any($1::text[])`,
    values: [meterIds],
  });
  return new Map(rows.map((meter) => [meter.meter_id, meter]));
}
