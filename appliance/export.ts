import type { Environment } from '../src/operation/environment.js';
import { table } from '../src/operation/environment-table.js';
import { urlOf } from './address.js';
import { secretOf } from './secrets.js';

/** What config nodes may read as `${NAME}` although it is secret: they work with it. */
const neededByNodes = new Set([
  'DATABASE_URL',
  'MQTT_PASSWORD',
  'NATS_URL',
  'NATS_NKEY',
  'NATS_TOKEN',
  'NATS_PASSWORD',
  'PAYMENT_CONSUMER_KEY',
  'PAYMENT_CONSUMER_SECRET',
  'PAYMENT_PASSKEY',
  'REDIS_URL',
  'REDIS_PASSWORD',
  'CAPTCHA_SECRET',
]);

/** As paths that hold wherever Node-RED runs. */
const files = [
  'HTTP_TLS_CERT',
  'HTTP_TLS_KEY',
  'MQTT_TLS_CERT',
  'MQTT_TLS_KEY',
  'MQTT_TLS_CA',
  'NATS_CREDS',
  'NATS_TLS_CERT',
  'NATS_TLS_KEY',
  'NATS_TLS_CA',
  'REDIS_TLS_CA',
] as const;

export interface Found {
  readonly databaseUrl: string;
  /** Login of the `backend` account at the embedded broker. */
  readonly mqtt?: { readonly user: string; readonly password: string } | undefined;
  /** Where our own simulators are called, and call back. */
  readonly ownUrl: string;
}

/**
 * Puts the effective settings into process.env, where Node-RED looks for `${NAME}`: defaults included, canonical names
 * only. A variable without a value becomes empty; unset it would stay the literal text.
 */
export function exportToFlows(environment: Environment, found: Found): void {
  for (const [name, { secret }] of table) {
    if (!secret || neededByNodes.has(name)) process.env[name] = environment.texts.get(name) ?? '';
  }
  process.env['DATABASE_URL'] = found.databaseUrl;
  for (const file of files) process.env[file] = environment[file] ?? '';
  // Our own flows use the way in that is there.
  if (environment.MQTT_BROKER_HOST === undefined)
    process.env['MQTT_USE_TLS'] = String(!environment.MQTT_ALLOW_PLAINTEXT);
  process.env['DATA_DIR'] = environment.DATA_DIR;
  process.env['MASTER_KEY'] = secretOf(environment, 'MASTER_KEY') ?? '';
  process.env['JWT_SECRET'] = secretOf(environment, 'JWT_SECRET') ?? '';
  exportPayments(environment, found);
  exportTokens(environment, found);
  exportMinting(environment, found);
  if (found.mqtt !== undefined) {
    process.env['MQTT_USERNAME'] = found.mqtt.user;
    process.env['MQTT_PASSWORD'] = found.mqtt.password;
  }
}

/** Without a provider of one's own the demo plays one, on our own port; production never does. */
function exportPayments(environment: Environment, { ownUrl }: Found): void {
  const { METERFLOW_PROFILE, PAYMENT_API_URL } = environment;
  const simulated = METERFLOW_PROFILE === 'demo' && PAYMENT_API_URL === undefined;
  process.env['PUBLIC_URL'] = environment.PUBLIC_URL ?? (simulated ? ownUrl : urlOf(environment));
  process.env['PAYMENT_CALLBACK_SECRET'] = secretOf(environment, 'PAYMENT_CALLBACK_SECRET') ?? '';
  process.env['PAYMENT_SIMULATOR'] = String(simulated);
  if (simulated) process.env['PAYMENT_API_URL'] = `${ownUrl}/simulators/payment-provider`;
}

/** The same with the system that forwards tokens to meters. */
function exportTokens({ METERFLOW_PROFILE, TOKEN_API_URL }: Environment, { ownUrl }: Found): void {
  const simulated = METERFLOW_PROFILE === 'demo' && TOKEN_API_URL === undefined;
  process.env['TOKEN_SIMULATOR'] = String(simulated);
  if (simulated) process.env['TOKEN_API_URL'] = `${ownUrl}/simulators/token-vendor`;
}

/** The same with the service that mints readings. */
function exportMinting({ METERFLOW_PROFILE, MINTING_URL }: Environment, { ownUrl }: Found): void {
  const simulated = METERFLOW_PROFILE === 'demo' && MINTING_URL === undefined;
  process.env['MINTING_SIMULATOR'] = String(simulated);
  if (simulated) process.env['MINTING_URL'] = `${ownUrl}/simulators/minting`;
}
