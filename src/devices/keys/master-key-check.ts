import { createHmac } from 'node:crypto';
import type { Database } from '../../database/database.js';
import { DomainError } from '../../errors.js';
import { audit, type Caller } from '../audit.js';
import { placeOf } from './device-keys.js';
import type { MasterKey } from './master-key.js';
import {
  keepCheckValue,
  lockCheckValue,
  lockSealedKeys,
  replaceCheckValue,
  resealKeys,
  selectSealedKey,
  type SealedKey,
} from './master-key-store.js';

/**
 * A database belongs to one master key: under another one no secret of a meter opens, and a token that was used already
 * looks new. The first start decides; of a database that has secrets already, the key that opens them.
 * @throws DomainError CONFIGURATION when it belongs to another key
 */
export async function agreeOnMasterKey(database: Database, master: MasterKey): Promise<void> {
  const mine = checkValueOf(master);
  await database.transaction(async (tx) => {
    if (await keepCheckValue(tx, mine)) {
      const known = await selectSealedKey(tx);
      if (known !== undefined && !opens(master, known)) throw otherKey();
    } else if (!(await lockCheckValue(tx))?.equals(mine)) throw otherKey();
  });
}

/** Keys encrypted anew by one statement. */
const batch = 1_000;

/**
 * Encrypts every secret anew, in one transaction, and from then on takes the new key only. No instance may run meanwhile.
 * @returns how many secrets
 * @throws DomainError CONFIGURATION when `from` is not the key of this database; nothing has changed then
 */
export async function changeMasterKey(
  database: Database,
  { from, to }: { readonly from: MasterKey; readonly to: MasterKey },
  caller: Caller,
): Promise<number> {
  return database.transaction(async (tx) => {
    const kept = await lockCheckValue(tx);
    if (kept !== undefined && !kept.equals(checkValueOf(from))) throw otherKey();
    let count = 0;
    for (let after: string | null = null; ;) {
      const keys: readonly SealedKey[] = await lockSealedKeys(tx, after, batch);
      const last = keys.at(-1);
      if (last === undefined) break;
      await resealKeys(
        tx,
        keys.map((key) => ({ ...key, sealed: resealed(key, from, to) })),
      );
      count += keys.length;
      after = last.id;
    }
    await replaceCheckValue(tx, checkValueOf(to));
    await audit(tx, caller, { action: 'master_key.changed', subject: 'MASTER_KEY', details: { count } });
    return count;
  });
}

function resealed({ id, meter_id, sealed }: SealedKey, from: MasterKey, to: MasterKey): Buffer {
  const place = placeOf(id, meter_id);
  return to.seal(from.open(sealed, place), place);
}

function opens(master: MasterKey, { id, meter_id, sealed }: SealedKey): boolean {
  try {
    master.open(sealed, placeOf(id, meter_id));
    return true;
  } catch (error) {
    if (error instanceof DomainError) return false;
    throw error;
  }
}

function checkValueOf(master: MasterKey): Buffer {
  return createHmac('sha256', master.derive('master_key_check')).update('the key of this database').digest();
}

function otherKey(): DomainError {
  return new DomainError(
    'CONFIGURATION',
    'This database belongs to another MASTER_KEY: give this instance the one of the others (docs/operating.md says how to change it).',
  );
}
