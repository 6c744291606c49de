import { execFile } from 'node:child_process';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

export interface Login {
  readonly user: string;
  readonly password: string;
}

export interface Device extends Login {
  readonly id: string;
  readonly meter_id: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // What the API answers is asserted field by field.
  readonly body: Record<string, never> & {
    readonly error?: { readonly code: string; readonly message: string };
  };
}

/** The shipped flows as shipped, on the real runtime, with a database that the test can look into. */
export interface House {
  readonly appliance: Appliance;
  request(method: string, path: string, body?: unknown): Promise<Answer>;
  register(meterId: string, more?: object): Promise<Device>;
  connect(login: Login, options?: IClientOptions): Promise<MqttClient>;
  /** Of the first column of the first row. */
  value(text: string, ...values: unknown[]): Promise<unknown>;
  rows(text: string, ...values: unknown[]): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

/** `through` may put something between the appliance and its database: it gets the real address, gives another. */
export async function startHouse(
  env: Readonly<Record<string, string>> = {},
  through: (url: string) => Promise<string> = (url) => Promise.resolve(url),
): Promise<House> {
  const database: TestDatabase = await createTestDatabase();
  const url = await through(database.url);
  const appliance = await startAppliance({
    env: { DATABASE_URL: url, VIRTUAL_METERS: '0', ...env },
  });
  const clients: MqttClient[] = [];

  async function request(method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await fetch(appliance.url + path, {
      method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Answer['body'] };
  }

  async function rows(text: string, ...values: unknown[]): Promise<Record<string, unknown>[]> {
    return (await database.database.query<Record<string, unknown>>({ text, values })).rows;
  }

  return {
    appliance,
    request,
    rows,
    async register(meterId, more = {}) {
      const { status, body } = await request('POST', '/devices', {
        type: 'meter',
        meter_id: meterId,
        ...more,
      });
      if (status !== 200) throw new Error(`POST /devices answered ${status}: ${JSON.stringify(body)}`);
      const { id, meter_id, mqtt_user, mqtt_password } = body as unknown as Record<string, string>;
      return { id: id ?? '', meter_id: meter_id ?? '', user: mqtt_user ?? '', password: mqtt_password ?? '' };
    },
    async connect(login, options = {}) {
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${appliance.mqttPort}`, {
        username: login.user,
        password: login.password,
        clientId: login.user,
        reconnectPeriod: 0,
        connectTimeout: 10_000,
        ...options,
      });
      client.on('error', () => undefined);
      clients.push(client);
      return client;
    },
    async value(text, ...values) {
      return Object.values((await rows(text, ...values))[0] ?? {})[0];
    },
    async close() {
      await Promise.all(clients.map((client) => client.endAsync(true)));
      await appliance.stop();
      await database.drop();
    },
  };
}

/** mosquitto_pub (apt-get install mosquitto-clients): ends with 0 when the broker has acknowledged. */
export function mosquittoPub(
  house: House,
  login: Login,
  topic: string,
  message: string,
): Promise<{ code: number; text: string }> {
  const options = [
    '-h',
    '127.0.0.1',
    '-p',
    String(house.appliance.mqttPort),
    '-q',
    '1',
    '-t',
    topic,
    '-m',
    message,
  ];
  return new Promise((settle, fail) => {
    execFile(
      'mosquitto_pub',
      [...options, '-u', login.user, '-P', login.password],
      { timeout: 20_000 },
      (error, out, err) => {
        if (error?.code === 'ENOENT')
          fail(new Error('mosquitto_pub is missing: apt-get install mosquitto-clients'));
        else settle({ code: error === null ? 0 : Number(error.code ?? 1), text: out + err });
      },
    );
  });
}

/** A quarter hour that lies `quarters` before the last one: readings of other quarters are far enough away. */
export function quarter(quarters: number): string {
  const length = 900_000;
  return new Date(Math.floor(Date.now() / length) * length - quarters * length).toISOString();
}
