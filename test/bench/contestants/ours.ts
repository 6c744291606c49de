import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { generateSecret, hashSecret } from '../../../src/devices/credentials.js';
import { placeOf } from '../../../src/devices/keys/device-keys.js';
import { masterKey } from '../../../src/devices/keys/master-key.js';
import { startAppliance } from '../../support/appliance.js';
import { answerTimeoutMs, numberOf } from '../injections/plan.js';
import { callbackSecret, shortCode } from '../prepaid/payments.js';
import type { Contestant, Place, Running } from './contestant.js';

/** What the load needs: readings a second apart with the rule on, and one device may say more than 50 things a second. */
export const settings = {
  READING_MIN_SPACING_SECONDS: '1',
  MQTT_DEVICE_RATE: '1000000',
  MQTT_DEVICE_BURST: '1000000',
  VIRTUAL_METERS: '0',
  MOCK_SYNC: 'off',
};

/** `npm start`: broker, shipped flows, signatures, rules, PUBACK after the commit. */
export const signed: Contestant = {
  name: 'meterflow signed',
  about:
    'npm start: own broker with logins and ACL, shipped flows, every reading signed (HMAC-SHA256) and verified, ' +
    'spacing rule, PUBACK after commit',
  start: (place) => startOurs(place, randomBytes(32).toString('hex')),
};

export const unsigned: Contestant = {
  name: 'meterflow unsigned',
  about: 'the same without keys and signatures',
  start: (place) => startOurs(place, null),
};

/** For prepaid money: reports carry no signatures, callbacks a secret path. */
export const prepaid: Contestant = {
  name: 'meterflow',
  about:
    'npm start: own broker with logins and ACL, shipped flows, ledger; receipts and reports count once, ' +
    'answers and PUBACK after the commit',
  start: (place) =>
    startOurs(place, null, { PAYMENT_CALLBACK_SECRET: callbackSecret, PAYMENT_SHORT_CODE: shortCode }),
};

/** For tokens: every second meter is called by its DRN. */
export function injecting(vendorUrl: string): Contestant {
  return {
    name: 'meterflow',
    about:
      'npm start: own broker with logins and ACL, shipped flows; each injection recorded in PostgreSQL at every step, ' +
      'its units in the ledger before the caller hears of them',
    start(place) {
      const more = {
        MASTER_KEY: randomBytes(32).toString('hex'),
        TOKEN_API_URL: vendorUrl,
        TOKEN_RESPONSE_TIMEOUT_MS: String(answerTimeoutMs),
      };
      const drns = place.meterIds.map((meterId, index) =>
        numberOf(index) === meterId ? null : numberOf(index),
      );
      return startOurs(place, null, more, drns);
    },
  };
}

/** Every accepted message goes on to JetStream; what a PUBACK waits for is more by the journal. */
export function forwarding(natsUrl: string): Contestant {
  return {
    name: 'meterflow forwarding',
    about: 'npm start with NATS_URL: journal before the PUBACK, then JetStream; without signatures',
    start: (place) => startOurs(place, null, { NATS_URL: natsUrl }),
  };
}

/** With a master key every meter has a key and must sign. */
async function startOurs(
  { databaseUrl, folder, meterIds }: Place,
  master: string | null,
  more: Readonly<Record<string, string>> = {},
  drns: readonly (string | null)[] = meterIds.map(() => null),
): Promise<Running> {
  const signing: Record<string, string> =
    master === null ? {} : { DEVICE_AUTH_METHOD: 'hmac', MASTER_KEY: master };
  const options = {
    dataDir: folder,
    env: { ...settings, ...profiling(), ...signing, ...more, DATABASE_URL: databaseUrl },
  };
  let appliance = await startAppliance(options);
  const kill = (): void => appliance.kill('SIGTERM');
  process.once('exit', kill);
  const passwords = await registerAtOnce(databaseUrl, meterIds, drns);
  const secrets = master === null ? null : await giveKeysAtOnce(databaseUrl, meterIds, master);
  return {
    mqttPort: appliance.mqttPort,
    httpUrl: appliance.url,
    pids: () => [appliance.pid],
    logins: meterIds.map((meterId, index) => ({
      meterId,
      clientId: meterId,
      user: meterId,
      password: passwords[index] ?? '',
      ...(secrets === null ? {} : { secret: secrets[index] ?? '' }),
    })),
    storesLater: false,
    async crash() {
      const { port, mqttPort } = appliance;
      appliance.kill('SIGKILL');
      await appliance.waitForExit();
      await delay(1_000);
      const ports = { PORT: String(port), MQTT_BROKER_PORT: String(mqttPort) };
      appliance = await startAppliance({ ...options, env: { ...options.env, ...ports } });
    },
    async stop() {
      process.off('exit', kill);
      await appliance.stop();
    },
  };
}

/** BENCH_NODE_OPTIONS=--cpu-prof shows where the time goes. */
export function profiling(): Record<string, string> {
  const options = process.env['BENCH_NODE_OPTIONS'];
  return options === undefined ? {} : { NODE_OPTIONS: options };
}

/** Hundreds of devices in one statement, with the registry's own credentials. */
async function registerAtOnce(
  url: string,
  meterIds: readonly string[],
  drns: readonly (string | null)[],
): Promise<string[]> {
  const passwords = meterIds.map(() => generateSecret());
  await withClient(url, (client) =>
    client.query({
      text: `insert into devices (meter_id, type, mqtt_user, password_hash, drn)
             select m, 'meter', m, h, n from unnest($1::text[], $2::bytea[], $3::text[]) as d (m, h, n)`,
      values: [meterIds, passwords.map(hashSecret), drns],
    }),
  );
  return passwords;
}

/** A key for every meter in one statement, sealed as the registry seals them. @returns the secrets as hex */
async function giveKeysAtOnce(url: string, meterIds: readonly string[], master: string): Promise<string[]> {
  const sealing = masterKey(master);
  const keys = meterIds.map((meterId) => ({ meterId, id: randomUUID(), secret: randomBytes(32) }));
  await withClient(url, (client) =>
    client.query({
      text: `insert into device_keys (id, meter_id, algorithm, public_key)
             select id, m, 'hmac-sha256', k from unnest($1::uuid[], $2::text[], $3::bytea[]) as d (id, m, k)`,
      values: [
        keys.map(({ id }) => id),
        meterIds,
        keys.map(({ id, meterId, secret }) => sealing.seal(secret, placeOf(id, meterId))),
      ],
    }),
  );
  return keys.map(({ secret }) => secret.toString('hex'));
}

async function withClient(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
