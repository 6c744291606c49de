import type { Database } from '../src/database/database.js';
import { agreeOnMasterKey } from '../src/devices/keys/master-key-check.js';
import { masterKey } from '../src/devices/keys/master-key.js';
import type { Environment } from '../src/operation/environment.js';
import { secretOf } from './secrets.js';

/** @throws DomainError CONFIGURATION when the database belongs to another key than ours */
export async function checkMasterKey(environment: Environment, database: Database): Promise<void> {
  await agreeOnMasterKey(database, masterKey(secretOf(environment, 'MASTER_KEY') ?? ''));
}
