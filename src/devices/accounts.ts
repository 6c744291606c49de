import type { Database, Session } from '../database/database.js';
import { DomainError } from '../errors.js';
import { audit, type Caller } from './audit.js';
import { hashSecret } from './credentials.js';
import { lockNames } from './registry-store.js';

/** A service account of the broker and its topic filters ([M-12]). */
export interface Account {
  readonly name: string;
  readonly may_read: readonly string[];
  readonly may_write: readonly string[];
}

/** [M-12]. Nobody may speak for a meter, so the backend writes commands and events only. */
export const backendAccount: Account = {
  name: 'backend',
  may_read: ['smartmeter/+/#', 'meters/+/#', 'devices/+/#', 'energy/events/#'],
  may_write: [
    'smartmeter/+/command/#',
    'meters/+/command/#',
    'devices/+/command/#',
    'energy/events/devices/#',
  ],
};

/** In the demo profile only, with the password iot123. */
export const demoAccount: Account = {
  name: 'iot_user',
  may_read: ['devices/+/#', 'energy/events/devices/#'],
  may_write: ['energy/events/devices/#'],
};

/**
 * Makes the account, or gives it this secret and these filters; a revoked one is admitted again.
 * @returns whether anything changed @throws DomainError SCHEMA_INVALID, METER_ID_TAKEN when a device has the name
 */
export async function ensureAccount(
  database: Database,
  account: Account,
  secret: string,
  caller: Caller,
): Promise<boolean> {
  if (!/^[A-Za-z0-9_-]{1,50}$/.test(account.name))
    throw new DomainError(
      'SCHEMA_INVALID',
      `An account's name has 1 to 50 letters, digits, _ or -: not ${account.name}.`,
    );
  for (const filter of [...account.may_read, ...account.may_write]) refuseBadFilter(filter);
  return database.transaction(async (tx) => {
    await lockNames(tx, [account.name]);
    const changed = await upsertAccount(tx, account, hashSecret(secret));
    if (await isDeviceName(tx, account.name))
      throw new DomainError(
        'METER_ID_TAKEN',
        `A device is named ${account.name}; its account would be told apart by nothing.`,
      );
    if (changed) {
      const { may_read, may_write } = account;
      await audit(tx, caller, {
        action: 'account.set',
        subject: account.name,
        details: { may_read, may_write },
      });
    }
    return changed;
  });
}

/** Closes its sessions and refuses it from now on. @returns false when there is none, or it was revoked before */
export async function revokeAccount(database: Database, name: string, caller: Caller): Promise<boolean> {
  return database.transaction(async (tx) => {
    const { rowCount } = await tx.query({
      text: `update mqtt_accounts set revoked_at = now() where name = $1 and revoked_at is null`,
      values: [name],
    });
    if (rowCount > 0) await audit(tx, caller, { action: 'account.revoked', subject: name });
    return rowCount > 0;
  });
}

/** An unchanged row is not touched: a change closes the account's sessions on every instance. */
async function upsertAccount(
  tx: Session,
  { name, may_read, may_write }: Account,
  hash: Buffer,
): Promise<boolean> {
  const { rowCount } = await tx.query({
    text: `insert into mqtt_accounts (name, password_hash, may_read, may_write) values ($1, $2, $3::text[], $4::text[])
           on conflict (name) do update
             set password_hash = excluded.password_hash, may_read = excluded.may_read,
                 may_write = excluded.may_write, revoked_at = null
             where (mqtt_accounts.password_hash, mqtt_accounts.may_read, mqtt_accounts.may_write, mqtt_accounts.revoked_at)
               is distinct from (excluded.password_hash, excluded.may_read, excluded.may_write, null)`,
    values: [name, hash, [...may_read], [...may_write]],
  });
  return rowCount > 0;
}

async function isDeviceName(tx: Session, name: string): Promise<boolean> {
  const { rowCount } = await tx.query({
    text: `select 1 from devices where id = $1 or meter_id = $1 or drn = $1 or mqtt_user = $1`,
    values: [name],
  });
  return rowCount > 0;
}

/** MQTT 3.1.1, 4.7.1: # only as the last level, wildcards only as whole levels. */
function refuseBadFilter(filter: string): void {
  const levels = filter.split('/');
  const wrong = levels.some(
    (level, index) =>
      level.includes('\u0000') ||
      (/[#+]/.test(level) && level !== '+' && !(level === '#' && index === levels.length - 1)),
  );
  if (filter === '' || wrong)
    throw new DomainError('SCHEMA_INVALID', `${JSON.stringify(filter)} is not a topic filter.`);
}
