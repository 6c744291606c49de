import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { createDeviceKeys, type DeviceKeys } from '../src/devices/keys/device-keys.js';
import { createKeyring, type Keyring } from '../src/devices/keys/keyring.js';
import { masterKey, type MasterKey } from '../src/devices/keys/master-key.js';
import { DomainError } from '../src/errors.js';
import { authMethods, type AuthMethod } from '../src/readings/verify.js';
import { defineConfigNode } from './define-node.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  authMethod: string;
  rotationDays: string;
  graceDays: string;
}

interface Credentials {
  masterKey: string;
}

/** What the nodes that verify, issue or use signing keys share. */
export interface KeyringResource {
  readonly method: AuthMethod;
  readonly keyring: Keyring;
  readonly keys: DeviceKeys;
  readonly master: MasterKey;
}

/** The keys of the meters in memory, kept true to the database by its notifications. */
export default function (RED: NodeAPI): void {
  defineConfigNode<Config, Credentials, KeyringResource>(RED, {
    type: 'meter-keyring',
    credentials: { masterKey: { type: 'password' } },
    open(config, credentials, node, use) {
      const method = methodOf(config);
      const lifetime = {
        rotationDays: numberSetting(config.rotationDays, 90, { name: 'Rotation', min: 1, max: 3650 }),
        graceDays: numberSetting(config.graceDays, 30, { name: 'Grace', min: 0, max: 3650 }),
      };
      const key = masterKey(textSetting(credentials.masterKey, ''));
      const database = use<Database>(config.database, 'database');
      const onProblem = (problem: string): void => node.error(problem);
      return {
        method,
        keyring: createKeyring(database, key, { lifetime, onProblem }),
        keys: createDeviceKeys(database, key, lifetime),
        master: key,
      };
    },
    close: ({ keyring }) => keyring.close(),
  });
}

function methodOf(config: Config): AuthMethod {
  const text = textSetting(config.authMethod, 'none');
  const method = authMethods.find((known) => known === text);
  if (method !== undefined) return method;
  throw new DomainError('CONFIGURATION', `Signatures must be ${authMethods.join(', ')}, not "${text}"`);
}
