import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import protobuf from 'protobufjs';
import { createRegistry } from '../../src/devices/registry.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { startFlow, stopFlow } from './flow.js';

const quarterMs = 900_000;
const newest = Math.floor(Date.now() / quarterMs) * quarterMs;

interface WireReading {
  readonly kwh_amount: number;
  readonly reading_timestamp: number;
}

/** Five days of quarter hours; every tenth too much energy, every twentieth a minute off its quarter hour. */
const readings: readonly WireReading[] = Array.from({ length: 480 }, (_, index) => ({
  kwh_amount: index % 10 === 4 ? 250 : (index + 1) / 10_000,
  reading_timestamp: newest - (479 - index) * quarterMs - (index % 20 === 7 ? 60_000 : 0),
}));
/** By the rule of spacing the reading before comes first and stays. */
const wrong = {
  KWH_OUT_OF_RANGE: readings.flatMap((_, part) => (part % 10 === 4 ? [part] : [])),
  TOO_CLOSE: readings.flatMap((_, part) => (part % 20 === 7 ? [part] : [])),
};
const right = 480 - wrong.KWH_OUT_OF_RANGE.length - wrong.TOO_CLOSE.length;

describe('A meter back from five days offline', () => {
  let test: TestDatabase;
  let client: MqttClient;
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());
  afterEach(async () => {
    await client.endAsync(true);
    await stopFlow();
  });

  const forms: [form: string, last: string, encode: (readings: readonly WireReading[]) => Buffer][] = [
    ['JSON [M-1]', 'readings', (list) => Buffer.from(JSON.stringify(list))],
    ['Protobuf [M-9]', 'readings.pb', inProtobuf],
  ];
  for (const [index, [form, last, encode]] of forms.entries()) {
    it(`sends 480 readings in one message of ${form}, partly wrong: each has its own outcome`, async () => {
      const meter = `METER00${index + 1}`;
      client = await comeBack(meter);
      const topic = `meters/${meter}/${last}`;
      await client.publishAsync(topic, encode(readings), { qos: 1 });
      assert.equal(await count('meter_readings', meter), right);
      assert.deepEqual(await refused(meter), wrong);

      // The PUBACK was lost: it sends all of them again, and one by itself.
      await client.publishAsync(topic, encode(readings), { qos: 1 });
      await client.publishAsync(topic, encode(readings.slice(0, 1)), { qos: 1 });
      assert.equal(await count('meter_readings', meter), right);
      assert.equal(await count('quarantined_messages', meter), 2 * (480 - right));
    });
  }

  async function comeBack(meter: string): Promise<MqttClient> {
    const port = await freePort();
    const { mqtt_password } = await createRegistry(test.database).create(
      { type: 'meter', meter_id: meter },
      { name: 'test', address: null },
    );
    await startFlow([
      { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '4' },
      {
        id: 'broker',
        type: 'meter-auth-broker',
        database: 'db',
        host: '127.0.0.1',
        port: String(port),
        wires: [['validator'], [], []],
      },
      { id: 'validator', type: 'reading-validator', schema: '', wires: [['store'], ['quarantine']] },
      { id: 'store', type: 'reading-store', database: 'db', wires: [[], [], ['quarantine']] },
      { id: 'quarantine', type: 'message-quarantine', database: 'db', wires: [[]] },
    ]);
    return eventually(() =>
      connectAsync({
        host: '127.0.0.1',
        port,
        username: meter,
        password: mqtt_password,
        clientId: meter,
        reconnectPeriod: 0,
      }),
    );
  }

  async function count(table: 'meter_readings' | 'quarantined_messages', meter: string): Promise<number> {
    const { rows } = await test.database.query<{ n: string }>({
      text: `select count(*) as n from ${table} where meter_id = $1`,
      values: [meter],
    });
    return Number(rows[0]?.n);
  }

  async function refused(meter: string): Promise<Record<string, number[]>> {
    const { rows } = await test.database.query<{ code: string; parts: number[] }>({
      text: `select code, array_agg(part order by part) as parts from quarantined_messages
              where meter_id = $1 group by code`,
      values: [meter],
    });
    return Object.fromEntries(rows.map(({ code, parts }) => [code, parts]));
  }
});

function inProtobuf(list: readonly WireReading[]): Buffer {
  const file = join(__dirname, '../../src/readings/readings.proto');
  const schema = new protobuf.Root().loadSync(file, { keepCase: true });
  const [first] = list;
  if (list.length === 1 && first !== undefined) return encoded(schema.lookupType('meterflow.Reading'), first);
  return encoded(schema.lookupType('meterflow.ReadingBatch'), { readings: list });
}

function encoded(type: protobuf.Type, value: object): Buffer {
  return Buffer.from(type.encode(type.fromObject(value)).finish());
}
