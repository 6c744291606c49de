import type { Session } from '../../database/database.js';

/** @returns false when one is kept already, whichever */
export async function keepCheckValue(tx: Session, value: Buffer): Promise<boolean> {
  const { rowCount } = await tx.query({
    text: `insert into master_key_check (check_value) values ($1) on conflict (sole) do nothing`,
    values: [value],
  });
  return rowCount > 0;
}

/** Locked until the end of the transaction. */
export async function lockCheckValue(tx: Session): Promise<Buffer | undefined> {
  const { rows } = await tx.query<{ check_value: Buffer }>({
    text: `select check_value from master_key_check for update`,
  });
  return rows[0]?.check_value;
}

export async function replaceCheckValue(tx: Session, value: Buffer): Promise<void> {
  await tx.query({
    text: `insert into master_key_check (check_value) values ($1)
           on conflict (sole) do update set check_value = excluded.check_value, noted_at = now()`,
    values: [value],
  });
}

/** An HMAC key as it is kept: its secret is encrypted. */
export interface SealedKey {
  readonly id: string;
  readonly meter_id: string;
  readonly sealed: Buffer;
}

/** The newest that still counts. */
export async function selectSealedKey(tx: Session): Promise<SealedKey | undefined> {
  const { rows } = await tx.query<SealedKey>({
    text: `select id::text, meter_id, public_key as sealed from device_keys
           where algorithm = 'hmac-sha256' and revoked_at is null order by created_at desc limit 1`,
  });
  return rows[0];
}

/** By id, after the one given; locked until the end of the transaction. */
export async function lockSealedKeys(
  tx: Session,
  after: string | null,
  limit: number,
): Promise<readonly SealedKey[]> {
  const { rows } = await tx.query<SealedKey>({
    text: `select id::text, meter_id, public_key as sealed from device_keys
           where algorithm = 'hmac-sha256' and ($1::uuid is null or id > $1::uuid)
           order by id limit $2::int for update`,
    values: [after, limit],
  });
  return rows;
}

export async function resealKeys(tx: Session, keys: readonly SealedKey[]): Promise<void> {
  await tx.query({
    text: `update device_keys k set public_key = given.sealed
           from unnest($1::uuid[], $2::bytea[]) as given (id, sealed) where k.id = given.id`,
    values: [keys.map(({ id }) => id), keys.map(({ sealed }) => sealed)],
  });
}
