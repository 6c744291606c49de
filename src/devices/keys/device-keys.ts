import { randomBytes, randomUUID } from 'node:crypto';
import type { Database, Session } from '../../database/database.js';
import { DomainError } from '../../errors.js';
import { metrics } from '../../operation/metrics.js';
import { audit, type Caller } from '../audit.js';
import { generateSecret, hashSecret } from '../credentials.js';
import { defaultLifetime, dueAt, expiresAt, type Algorithm, type KeyLifetime } from './key.js';
import { listKeys, type KeysOfDevice } from './key-list.js';
import { asNewKey, asRotation, invalidKey } from './key-schema.js';
import * as store from './key-store.js';
import type { MasterKey } from './master-key.js';
import { ed25519PublicKey } from './public-key.js';

/** A key as it is handed out, once. Times are RFC 3339 in UTC. */
export interface IssuedKey {
  readonly meter_id: string;
  readonly key_id: string;
  readonly algorithm: Algorithm;
  /** hmac-sha256 only: 64 hex digits, shown this once. */
  readonly secret?: string;
  readonly created_at: string;
  /** It should be rotated by then. */
  readonly due_at: string;
  /** And is refused from then on (KEY_EXPIRED). */
  readonly expires_at: string;
}

export interface RotatedKey extends IssuedKey {
  readonly previous_key_id: string;
  /** Until then both keys are good. */
  readonly previous_key_valid_until: string;
  readonly mqtt_user?: string;
  /** Shown this once. */
  readonly mqtt_password?: string;
  readonly previous_password_valid_until?: string;
}

export interface RevokedDevice {
  readonly meter_id: string;
  readonly revoked_keys: number;
  readonly revoked_at: string;
}

/** `meterId` may be the meter_id or the id. */
export interface DeviceKeys {
  /**
   * The first key of a meter, or the next one after a revocation, which admits it again ([H-3]).
   * @throws DomainError SCHEMA_INVALID, METER_UNKNOWN, KEY_EXISTS, CONFIGURATION without a master key
   */
  register(input: unknown, caller: Caller): Promise<IssuedKey>;
  /** A new key beside the old one, which stays valid for the grace ([H-4]). @throws as `register`, KEY_UNKNOWN */
  rotate(meterId: string, input: unknown, caller: Caller): Promise<RotatedKey>;
  /** Revokes every key and the login: sessions close on every instance. Again: no change. @throws METER_UNKNOWN */
  revoke(meterId: string, caller: Caller): Promise<RevokedDevice>;
  /** Without their secrets. @throws METER_UNKNOWN */
  list(meterId: string): Promise<KeysOfDevice>;
}

export function createDeviceKeys(
  database: Database,
  masterKey: MasterKey,
  lifetime: KeyLifetime = defaultLifetime,
): DeviceKeys {
  async function issue(tx: Session, wanted: Omit<store.KeyRow, 'id'>, secret: Buffer | null) {
    const id = randomUUID();
    const { meter_id, algorithm } = wanted;
    const kept = secret === null ? wanted.public_key : masterKey.seal(secret, placeOf(id, meter_id));
    const created = await store.insertKey(tx, { ...wanted, id, public_key: kept });
    const time = created.getTime();
    return {
      meter_id,
      key_id: id,
      algorithm,
      ...(secret === null ? {} : { secret: secret.toString('hex') }),
      created_at: created.toISOString(),
      due_at: new Date(dueAt(time, lifetime)).toISOString(),
      expires_at: new Date(expiresAt(time, null, lifetime)).toISOString(),
    };
  }

  return {
    async list(meterId) {
      const listed = isName(meterId) ? await listKeys(database, meterId, lifetime) : undefined;
      return listed ?? unknownMeter(meterId);
    },

    async register(input, caller) {
      const wanted = asNewKey(input);
      const { material, secret } = materialOf(wanted.algorithm, wanted.public_key);
      const key = await changing(database, async (tx) => {
        const holder = await holderOf(tx, wanted.meter_id);
        if ((await store.selectCurrentKey(tx, holder.meter_id)) !== undefined) throw keyExists();
        const user_id = wanted.user_id ?? holder.user_id;
        const row = { meter_id: holder.meter_id, user_id, algorithm: wanted.algorithm, public_key: material };
        const issued = await issue(tx, row, secret);
        if (holder.revoked) await store.setRevoked(tx, holder.device_id, false);
        await audit(tx, caller, {
          action: 'device_key.registered',
          subject: holder.meter_id,
          details: { key_id: issued.key_id, algorithm: wanted.algorithm, readmitted: holder.revoked },
        });
        return issued;
      });
      metrics.keysRegistered.inc();
      return key;
    },

    async rotate(meterId, input, caller) {
      const wanted = asRotation(input);
      const graceSeconds = wanted.grace_seconds ?? lifetime.graceDays * 86_400;
      const { rotated, revoked } = await changing(database, async (tx) => {
        const holder = await holderOf(tx, meterId);
        const current = await store.selectCurrentKey(tx, holder.meter_id);
        if (current === undefined) throw noKey(holder.meter_id);
        const algorithm = wanted.algorithm ?? current.algorithm;
        const { material, secret } = materialOf(algorithm, wanted.public_key);
        // The old one leaves first: a meter has one current key.
        const until = await store.supersedeKey(tx, current.id, graceSeconds);
        const revokedNow = graceSeconds === 0 ? await store.revokeKeys(tx, holder.meter_id) : 0;
        const { meter_id } = holder;
        const row = { meter_id, user_id: current.user_id, algorithm, public_key: material };
        const issued = await issue(tx, row, secret);
        const password = wanted.password === true ? await newPassword(tx, holder, graceSeconds) : {};
        await audit(tx, caller, {
          action: 'device_key.rotated',
          subject: meter_id,
          details: {
            key_id: issued.key_id,
            previous_key_id: current.id,
            algorithm,
            grace_seconds: graceSeconds,
            password: wanted.password === true,
          },
        });
        const end = expiresAt(current.created_at.getTime(), until.getTime(), lifetime);
        const previous_key_valid_until = new Date(end).toISOString();
        return {
          rotated: { ...issued, previous_key_id: current.id, previous_key_valid_until, ...password },
          revoked: revokedNow,
        };
      });
      metrics.keysRegistered.inc();
      metrics.keysRevoked.inc(revoked);
      return rotated;
    },

    async revoke(meterId, caller) {
      const { revoked, changed } = await changing(database, async (tx) => {
        const holder = await holderOf(tx, meterId);
        const revoked_keys = await store.revokeKeys(tx, holder.meter_id);
        const at = await store.setRevoked(tx, holder.device_id, true);
        const changes = revoked_keys > 0 || !holder.revoked;
        if (changes) {
          await audit(tx, caller, {
            action: 'device.revoked',
            subject: holder.meter_id,
            details: { revoked_keys },
          });
        }
        const revoked_at = (at ?? new Date()).toISOString();
        return { revoked: { meter_id: holder.meter_id, revoked_keys, revoked_at }, changed: changes };
      });
      if (changed) metrics.keysRevoked.inc(revoked.revoked_keys);
      return revoked;
    },
  };
}

/** Where an HMAC secret belongs: a row copied to another meter does not open there. */
export function placeOf(keyId: string, meterId: string): string {
  return `${meterId}|${keyId}`;
}

const secretBytes = 32;

function materialOf(
  algorithm: Algorithm,
  publicKey: string | undefined,
): { material: Buffer; secret: Buffer | null } {
  if (algorithm === 'hmac-sha256') {
    if (publicKey !== undefined)
      throw invalidKey([{ path: '/public_key', message: 'belongs to ed25519; an HMAC secret is made here' }]);
    return { material: Buffer.alloc(0), secret: randomBytes(secretBytes) };
  }
  if (publicKey === undefined)
    throw invalidKey([{ path: '/public_key', message: 'is missing: the device makes its own pair of keys' }]);
  const material = ed25519PublicKey(publicKey);
  if (material === undefined)
    throw invalidKey([
      { path: '/public_key', message: 'must be an Ed25519 public key: 64 hex digits, or PEM' },
    ]);
  return { material, secret: null };
}

async function newPassword(tx: Session, holder: store.KeyHolder, graceSeconds: number) {
  const password = generateSecret();
  const until = await store.rotatePassword(tx, holder.device_id, hashSecret(password), graceSeconds);
  return {
    mqtt_user: holder.mqtt_user,
    mqtt_password: password,
    previous_password_valid_until: until.toISOString(),
  };
}

/** Named constraints become outcomes. */
async function changing<T>(database: Database, work: (tx: Session) => Promise<T>): Promise<T> {
  try {
    return await database.transaction(work);
  } catch (error) {
    const constraint = error instanceof Error && 'constraint' in error ? error.constraint : undefined;
    if (constraint === 'device_keys_current_key') throw keyExists(error);
    if (constraint === 'device_keys_user_id_fkey')
      throw invalidKey([{ path: '/user_id', message: 'names no user' }]);
    throw error;
  }
}

async function holderOf(tx: Session, meterId: string): Promise<store.KeyHolder> {
  const holder = isName(meterId) ? await store.lockHolder(tx, meterId) : undefined;
  return holder ?? unknownMeter(meterId);
}

/** A NUL cannot even be asked for. */
function isName(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,50}$/.test(text);
}

function unknownMeter(meterId: string): never {
  const shown = isName(meterId) ? ` ${meterId}` : ' of this name';
  throw new DomainError(
    'METER_UNKNOWN',
    `There is no meter${shown}: register the device first (POST /devices).`,
  );
}

function keyExists(cause?: unknown): DomainError {
  return new DomainError('KEY_EXISTS', 'This meter has a key already: rotate it, or revoke it first.', {
    cause,
  });
}

function noKey(meterId: string): DomainError {
  return new DomainError('KEY_UNKNOWN', `The meter ${meterId} has no valid key: register one.`);
}
