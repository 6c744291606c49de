import type { Database } from '../src/database/database.js';
import { backendAccount, demoAccount, ensureAccount } from '../src/devices/accounts.js';
import { ensureDemoUser } from '../src/http/callers-store.js';
import type { Environment } from '../src/operation/environment.js';
import { keptSecret } from './secrets.js';

const caller = { name: 'start', address: null };

/**
 * Who exists before anybody was registered. Demo: the caller `demo`, `iot_user` with its public password, and
 * `backend` with a generated one. Production: `backend` only when MQTT_PASSWORD gives it a password.
 * @returns the login of our own MQTT clients
 */
export async function prepareAccounts(
  environment: Environment,
  database: Database,
): Promise<{ user: string; password: string } | undefined> {
  if (environment.METERFLOW_PROFILE === 'production') {
    const { MQTT_USERNAME: user = backendAccount.name, MQTT_PASSWORD: password } = environment;
    if (password === undefined) return undefined;
    await ensureAccount(database, { ...backendAccount, name: user }, password, caller);
    return { user, password };
  }
  await ensureDemoUser(database);
  await ensureAccount(database, demoAccount, 'iot123', caller);
  // An external broker asks us about our own login, too: then it is the one that we use there.
  const login = {
    user: backendAccount.name,
    password: externalPassword(environment) ?? keptSecret(environment.DATA_DIR, 'mqtt_backend_password'),
  };
  await ensureAccount(database, backendAccount, login.password, caller);
  return login;
}

function externalPassword({
  MQTT_BROKER_HOST: host,
  MQTT_USERNAME: user,
  MQTT_PASSWORD: password,
}: Environment) {
  return host !== undefined && user === backendAccount.name ? password : undefined;
}
