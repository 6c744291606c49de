import assert from 'node:assert/strict';
import { createHash, createSecretKey } from 'node:crypto';
import type { MqttClient } from 'mqtt';
import { canonicalString, hmacSignature } from '../../src/readings/signature.js';
import { eventually } from '../support/eventually.js';
import { quarter, startHouse, type Answer, type House } from './house.js';

interface Message {
  readonly id: number;
  readonly meter_id: string;
  readonly code: string;
  readonly reason: string;
  readonly payload: string;
  readonly payload_encoding: string;
  readonly replay_outcome: string | null;
}

const api = '/api/admin/quarantine';

/** [H-22], [M-14] */
describe('the tab Quarantine', function () {
  this.timeout(150_000);
  let house: House;
  let meter: MqttClient;
  before(async () => {
    house = await startHouse();
    meter = await house.connect(await house.register('METER001'));
  });
  after(() => house?.close());

  /** Publishes what will be refused, and finds it in quarantine. */
  async function refused(payload: object | string): Promise<Message> {
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
    await meter.publishAsync('meters/METER001/readings', text, { qos: 1 });
    const { body } = await house.request('GET', `${api}?meter_id=METER001&limit=1`);
    const [message] = (body as unknown as { data: Message[] }).data;
    assert.equal(message?.payload, text);
    return message;
  }
  const stored = (time: string) =>
    house.value('select count(*)::int from meter_readings where reading_timestamp = $1', time);
  const outcome = ({ status, body }: Answer) => [
    status,
    body.error?.code ?? (body as { outcome?: string }).outcome,
  ];

  it('stores a reading whose clock was wrong once somebody says the right time, and only once', async () => {
    const message = await refused({ kwh_amount: 1.25, reading_timestamp: '2020-01-01T00:00:00Z' });
    assert.deepEqual([message.code, message.payload_encoding], ['TIMESTAMP_OUT_OF_WINDOW', 'utf8']);
    const url = `${api}/${message.id}/replay`;
    const asItIs = await fetch(house.appliance.url + url, { method: 'POST' });
    assert.equal(asItIs.status, 422, 'without a body, as it came');
    const right = { reading_timestamp: quarter(1) };
    assert.deepEqual(outcome(await house.request('POST', url, right)), [200, 'stored']);
    assert.deepEqual(outcome(await house.request('POST', url, right)), [409, 'MESSAGE_REPLAYED']);
    assert.equal(await stored(quarter(1)), 1);
    const latest = await house.request('GET', '/api/meter_data/METER001');
    assert.equal((latest.body as { kwh_amount?: number }).kwh_amount, 1.25);
  });

  it('refuses another meter’s reading as often as it is replayed', async () => {
    const other = { meter_id: 'METER999', kwh_amount: 1, reading_timestamp: quarter(9) };
    const { id } = await refused(other);
    for (let turn = 0; turn < 2; turn += 1) {
      const answer = await house.request('POST', `${api}/${id}/replay`, {});
      assert.deepEqual(outcome(answer), [422, 'METER_MISMATCH']);
    }
    const { body } = await house.request('GET', `${api}/${id}`);
    assert.equal((body as unknown as Message).replay_outcome, 'refused');
    assert.equal(await stored(quarter(9)), 0);
  });

  it('lets one of two operators win', async () => {
    const { id } = await refused({ kwh_amount: 1, reading_timestamp: 0 });
    const right = { reading_timestamp: quarter(20) };
    const answers = await Promise.all([1, 2].map(() => house.request('POST', `${api}/${id}/replay`, right)));
    assert.deepEqual(answers.map((answer) => outcome(answer).join(' ')).sort(), [
      '200 stored',
      '409 MESSAGE_REPLAYED',
    ]);
  });

  it('corrects the time of a signed reading, and of none whose signature is wrong', async () => {
    const signer = await house.connect(await house.register('SIGNED'));
    const key = await house.request('POST', '/api/admin/devices/register', {
      meter_id: 'SIGNED',
      algorithm: 'hmac-sha256',
    });
    const secret = createSecretKey(Buffer.from((key.body as { secret?: string }).secret ?? '', 'hex'));
    const wrongClock = Date.UTC(2020, 0, 1);
    const device_signature = hmacSignature(canonicalString('SIGNED', 10_000, wrongClock), secret);
    // The second one says another energy than was signed.
    for (const kwh_amount of [1, 2]) {
      const reading = { kwh_amount, reading_timestamp: wrongClock, device_signature };
      await signer.publishAsync('meters/SIGNED/readings', JSON.stringify(reading), { qos: 1 });
    }
    const { body } = await house.request('GET', `${api}?meter_id=SIGNED&order=asc`);
    const outcomes = [];
    for (const [index, { id }] of (body as unknown as { data: Message[] }).data.entries()) {
      const right = { reading_timestamp: quarter(index) };
      outcomes.push(outcome(await house.request('POST', `${api}/${id}/replay`, right)));
    }
    assert.deepEqual(outcomes, [
      [200, 'stored'],
      [422, 'SIGNATURE_INVALID'],
    ]);
  });

  it('brings what the flow had lost to its tables: readings, consumption and other messages', async () => {
    const device = await house.value("select id from devices where meter_id = 'METER001'");
    const keep = (topic: string, payload: string) =>
      house.value(
        `insert into quarantined_messages (device_id, meter_id, topic, qos, code, reason, payload, received_at)
         values ($1, 'METER001', $2, 1, 'FLOW_UNSETTLED', 'Lost.', convert_to($3, 'UTF8'), now()) returning id::int`,
        device,
        topic,
        payload,
      );
    const reading = await keep(
      'meters/METER001/readings',
      JSON.stringify([{ kwh_amount: 1, reading_timestamp: quarter(30) }]),
    );
    const report = await keep(
      'smartmeter/METER001/consumption',
      '{"meterNo":"METER001","unitsConsumed":0.0048,"remainingBalance":5.2452}',
    );
    const status = await keep('smartmeter/METER001/status', '{"meterNo":"METER001","status":"online"}');
    for (const id of [reading, report, status])
      assert.deepEqual(outcome(await house.request('POST', `${api}/${Number(id)}/replay`, {})), [
        200,
        'stored',
      ]);
    assert.equal(await stored(quarter(30)), 1);
    assert.equal(
      await house.value(`select units::float8 from consumption_reports where meter_id = 'METER001'`),
      0.0048,
    );
    assert.equal(
      await house.value(`select count(*)::int from device_messages where topic like 'smartmeter/%/status'`),
      1,
    );
  });

  it('replays many of one meter whose clock was an hour ahead', async () => {
    const hourMs = 3_600_000;
    for (const quarters of [40, 41, 42]) {
      // Far enough ahead to be refused, by an hour that the operator knows.
      const wrong = Date.parse(quarter(quarters)) + 20 * hourMs;
      await refused({ kwh_amount: 1, reading_timestamp: wrong });
    }
    const request = { meter_id: 'METER001', code: 'TIMESTAMP_OUT_OF_WINDOW', time_offset_ms: -20 * hourMs };
    const { status, body } = await house.request('POST', `${api}/replay`, request);
    assert.deepEqual([status, (body as { stored?: number }).stored], [200, 3]);
    assert.equal(await stored(quarter(41)), 1);
  });

  it('deletes a message and keeps in the audit log what it was', async () => {
    const text = '{"kwh_amount":"many"}';
    const { id } = await refused(text);
    assert.equal((await house.request('DELETE', `${api}/${id}`)).status, 200);
    assert.deepEqual(outcome(await house.request('GET', `${api}/${id}`)), [404, 'MESSAGE_UNKNOWN']);
    const details = await house.value(
      `select details from audit_log where action = 'quarantine.deleted' and subject = $1`,
      String(id),
    );
    const { code, topic, payload_sha256 } = details as Record<string, unknown>;
    assert.deepEqual(
      [code, topic, payload_sha256],
      ['SCHEMA_INVALID', 'meters/METER001/readings', createHash('sha256').update(text).digest('hex')],
    );
  });

  it('filters by code, topic, time and whether it is settled', async () => {
    const { body } = await house.request(
      'GET',
      `${api}?replayed=yes&code=TIMESTAMP_OUT_OF_WINDOW&topic=meters/%2B/readings&since=${quarter(2)}&order=asc&meter_id=METER001`,
    );
    const { data, total } = body as unknown as { data: Message[]; total: number };
    assert.equal(total, 5);
    for (const message of data) assert.equal(message.replay_outcome, 'stored');
  });

  for (const [title, method, path, body, code] of [
    ['a correction that is not known', 'POST', '/1/replay', { kwh_amount: 5 }, 'SCHEMA_INVALID'],
    ['a message that is not there', 'POST', '/999999/replay', {}, 'MESSAGE_UNKNOWN'],
    ['a clock of all meters at once', 'POST', '/replay', { time_offset_ms: 1000 }, 'SCHEMA_INVALID'],
    ['a state that is none', 'GET', '?replayed=perhaps', undefined, 'SCHEMA_INVALID'],
    ['the deletion of nothing', 'DELETE', '/0', undefined, 'MESSAGE_UNKNOWN'],
  ] as const) {
    it(`answers ${title} with ${code}`, async () => {
      const answer = await house.request(method, api + path, body);
      assert.equal(answer.body.error?.code, code, JSON.stringify(answer.body));
    });
  }

  it('counts every message once: received = stored + duplicate + quarantined [M-14]', async () => {
    const sums = await eventually(() =>
      house.rows(`select (select count(*)::int from meter_readings) as stored,
                         (select count(*)::int from quarantined_messages
                           where coalesce(replay_outcome = 'stored', false)) as replayed`),
    );
    // Nothing was ever stored but by a replay; two of them carried no reading.
    assert.equal(Number(sums[0]?.['stored']), Number(sums[0]?.['replayed']) - 2);
  });
});
