import type { Session } from '../../database/database.js';
import type { Algorithm } from './key.js';

/** A device as far as keys are concerned, locked until the end of the transaction. */
export interface KeyHolder {
  readonly device_id: string;
  readonly meter_id: string;
  readonly mqtt_user: string;
  readonly user_id: string | null;
  readonly revoked: boolean;
}

/** `name` may be the meter_id or the id. */
export async function lockHolder(tx: Session, name: string): Promise<KeyHolder | undefined> {
  const { rows } = await tx.query<KeyHolder>({
    text: `select id as device_id, meter_id, mqtt_user, user_id::text, revoked_at is not null as revoked
           from devices where meter_id = $1 or id = $1 order by meter_id = $1 desc limit 1 for update`,
    values: [name],
  });
  return rows[0];
}

export interface KeyRow {
  readonly id: string;
  readonly meter_id: string;
  readonly user_id: string | null;
  readonly algorithm: Algorithm;
  readonly public_key: Buffer;
}

/** @returns when it was made */
export async function insertKey(tx: Session, row: KeyRow): Promise<Date> {
  const { rows } = await tx.query<{ created_at: Date }>({
    text: `insert into device_keys (id, meter_id, user_id, algorithm, public_key)
           values ($1::uuid, $2, $3::uuid, $4, $5) returning created_at`,
    values: [row.id, row.meter_id, row.user_id, row.algorithm, row.public_key],
  });
  return rows[0]?.created_at ?? new Date();
}

export interface CurrentKey {
  readonly id: string;
  readonly algorithm: Algorithm;
  readonly user_id: string | null;
  readonly created_at: Date;
}

/** The one that is neither revoked nor on its way out. */
export async function selectCurrentKey(tx: Session, meterId: string): Promise<CurrentKey | undefined> {
  const { rows } = await tx.query<CurrentKey>({
    text: `select id::text, algorithm, user_id::text, created_at from device_keys
           where meter_id = $1 and revoked_at is null and grace_until is null`,
    values: [meterId],
  });
  return rows[0];
}

/** @returns the end of the grace */
export async function supersedeKey(tx: Session, id: string, graceSeconds: number): Promise<Date> {
  const { rows } = await tx.query<{ grace_until: Date }>({
    text: `update device_keys set grace_until = now() + make_interval(secs => $2) where id = $1::uuid
           returning grace_until`,
    values: [id, graceSeconds],
  });
  return rows[0]?.grace_until ?? new Date();
}

/** All that still count. @returns how many */
export async function revokeKeys(tx: Session, meterId: string): Promise<number> {
  const { rowCount } = await tx.query({
    text: `update device_keys set revoked_at = now() where meter_id = $1 and revoked_at is null`,
    values: [meterId],
  });
  return rowCount;
}

/** Refuses its logins, and closes its sessions on every instance by the trigger. */
export async function setRevoked(tx: Session, deviceId: string, revoked: boolean): Promise<Date | null> {
  const { rows } = await tx.query<{ revoked_at: Date | null }>({
    text: `update devices set revoked_at = case when $2 then coalesce(revoked_at, now()) end, updated_at = now()
           where id = $1 returning revoked_at`,
    values: [deviceId, revoked],
  });
  return rows[0]?.revoked_at ?? null;
}

/** The old password stays valid for `graceSeconds`. @returns until when */
export async function rotatePassword(
  tx: Session,
  deviceId: string,
  hash: Buffer,
  graceSeconds: number,
): Promise<Date> {
  const { rows } = await tx.query<{ until: Date }>({
    text: `update devices set previous_password_hash = password_hash, password_hash = $2,
             previous_password_until = now() + make_interval(secs => $3), updated_at = now()
           where id = $1 returning previous_password_until as until`,
    values: [deviceId, hash, graceSeconds],
  });
  return rows[0]?.until ?? new Date();
}

/** A device and its keys, newest first; those of long ago are left out. */
export interface ListedKeys {
  readonly meter_id: string;
  readonly revoked_at: Date | null;
  readonly keys: readonly ListedKey[];
}

export interface ListedKey {
  readonly id: string;
  readonly algorithm: Algorithm;
  readonly created_at: Date;
  readonly grace_until: Date | null;
  readonly revoked_at: Date | null;
  readonly last_used_at: Date | null;
}

/** A device without keys is one row with none. */
type ListedRow = { readonly meter_id: string; readonly device_revoked_at: Date | null } & (
  ListedKey | { readonly id: null }
);

/** More than a meter has in ten years, rotated each quarter. */
const listedMax = 50;

/** `name` may be the meter_id or the id. */
export async function selectKeysOf(session: Session, name: string): Promise<ListedKeys | undefined> {
  const { rows } = await session.query<ListedRow>({
    name: 'select_keys_of_device',
    text: `select d.meter_id, d.revoked_at as device_revoked_at, k.id::text, k.algorithm, k.created_at, k.grace_until,
             k.revoked_at, k.last_used_at
           from (select meter_id, revoked_at from devices where meter_id = $1 or id = $1
                 order by meter_id = $1 desc limit 1) d
           left join device_keys k on k.meter_id = d.meter_id
           order by k.created_at desc limit ${listedMax}`,
    values: [name],
  });
  const [first] = rows;
  if (first === undefined) return undefined;
  const keys = rows.flatMap((row) => (row.id === null ? [] : [listedKey(row)]));
  return { meter_id: first.meter_id, revoked_at: first.device_revoked_at, keys };
}

function listedKey({
  id,
  algorithm,
  created_at,
  grace_until,
  revoked_at,
  last_used_at,
}: ListedKey): ListedKey {
  return { id, algorithm, created_at, grace_until, revoked_at, last_used_at };
}

/** What a meter's readings are judged by; `keys` those that count first, then the newest of the others. */
export interface MeterRow {
  readonly meter_id: string;
  readonly device_id: string;
  readonly user_id: string | null;
  readonly revoked: boolean;
  readonly keys: readonly KeyOfMeter[] | null;
}

export interface KeyOfMeter {
  readonly id: string;
  readonly algorithm: Algorithm;
  /** Hex. */
  readonly public_key: string;
  /** Unix ms. */
  readonly created: number;
  readonly grace_until: number | null;
  readonly revoked: boolean;
}

/** So many keys of one meter are tried; beyond that only dead ones are left out. */
const keysMax = 8;

export async function selectMeters(
  session: Session,
  meterIds: readonly string[],
  timeoutMs: number,
): Promise<Map<string, MeterRow>> {
  const { rows } = await session.query<MeterRow>({
    name: 'select_meter_keys',
    text: `select d.meter_id, d.id as device_id, d.user_id::text, d.revoked_at is not null as revoked, found.keys
           from devices d left join lateral (
             select json_agg(json_build_object('id', k.id, 'algorithm', k.algorithm,
                      'public_key', encode(k.public_key, 'hex'),
                      'created', floor(extract(epoch from k.created_at) * 1000)::bigint,
                      'grace_until', floor(extract(epoch from k.grace_until) * 1000)::bigint,
                      'revoked', k.revoked_at is not null)) as keys
             from (select id, algorithm, public_key, created_at, grace_until, revoked_at
                   from device_keys where meter_id = d.meter_id
                   order by revoked_at is null desc, created_at desc limit ${keysMax}) k
           ) found on true
           where d.meter_id = any($1::text[])`,
    values: [meterIds],
    timeoutMs,
  });
  return new Map(rows.map((row) => [row.meter_id, row]));
}

/** `usedAt` in Unix ms, side by side with `ids`. */
export async function updateLastUsed(
  session: Session,
  ids: readonly string[],
  usedAt: readonly number[],
): Promise<void> {
  await session.query({
    name: 'update_keys_last_used',
    text: `update device_keys k set last_used_at = used.at
           from (select id, to_timestamp(ms / 1000) as at
                 from unnest($1::uuid[], $2::float8[]) as listed (id, ms)) used
           where k.id = used.id and (k.last_used_at is null or k.last_used_at < used.at)`,
    values: [ids, usedAt],
  });
}

/** Current keys that should be rotated by now. */
export async function countDueKeys(session: Session, rotationDays: number): Promise<number> {
  const { rows } = await session.query<{ due: number }>({
    text: `select count(*)::int as due from device_keys
           where revoked_at is null and grace_until is null and created_at < now() - make_interval(days => $1)`,
    values: [rotationDays],
  });
  return rows[0]?.due ?? 0;
}
