import assert from 'node:assert/strict';
import {
  createVirtualMeter,
  type VirtualMeter,
  type VirtualMeterOptions,
} from '../../src/mocks/virtual-meter.js';
import { as, startTestBroker, type TestBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';

const { password } = as('METER001');
const noon = Date.parse('2026-11-20T12:00:00Z');

describe('A virtual meter', () => {
  let test: TestBroker;
  let meter: VirtualMeter;
  let time = noon + 60_000;

  beforeEach(async () => {
    time = noon + 60_000;
    test = await startTestBroker();
    test.sink.settling = true;
    meter = meterWith({});
  });
  afterEach(async () => {
    await meter.stop();
    await test.broker.close({ drainMs: 0 });
  });

  function meterWith(
    options: Partial<VirtualMeterOptions>,
    port = test.port,
    secret = password,
  ): VirtualMeter {
    const mqtt = { host: '127.0.0.1', port, username: 'METER001', password: secret };
    const fixed = {
      meterId: 'METER001',
      deviceId: 'id-METER001',
      mqtt,
      seed: 1,
      backfillHours: 24,
      telemetrySeconds: 0,
    };
    return createVirtualMeter({ ...fixed, now: () => time, ...options });
  }

  const readings = () =>
    test.sink.deliveries
      .filter(({ topic }) => topic === 'meters/METER001/readings')
      .map(({ qos, payload }) => ({ qos, payload: JSON.parse(String(payload)) as Record<string, unknown> }));

  async function upToDate(): Promise<void> {
    await eventually(() => assert.deepEqual([meter.state.acknowledged, meter.state.waiting], [96, 0]));
  }

  it('sends the quarter hours of the last day at QoS 1 under its own client id, each once', async () => {
    meter.start();
    await upToDate();
    const times = readings().map(({ payload }) => payload['reading_timestamp']);
    assert.equal(new Set(times).size, 96);
    assert.equal(times.at(-1), '2026-11-20T12:00:00.000Z');
    assert.ok(readings().every(({ qos }) => qos === 1));
    assert.deepEqual(
      test.sink.of('connected').map(({ client_id }) => client_id),
      ['METER001'],
    );
    assert.deepEqual(Object.keys(readings()[0]?.payload ?? {}), [
      'meter_id',
      'kwh_amount',
      'reading_timestamp',
    ]);
  });

  it('sends the very same readings after a restart, so that they are duplicates', async () => {
    meter.start();
    await upToDate();
    await meter.stop();
    const first = readings().map(({ payload }) => payload);
    test.sink.deliveries.length = 0;
    meter = meterWith({});
    meter.start();
    await upToDate();
    assert.deepEqual(
      readings().map(({ payload }) => payload),
      first,
    );
  });

  it('sends one more reading when a quarter hour ends', async () => {
    meter.start();
    await upToDate();
    time = noon + 15 * 60_000 + 1;
    await eventually(() => assert.equal(meter.state.acknowledged, 97));
    assert.equal(meter.state.last?.reading_timestamp, '2026-11-20T12:15:00.000Z');
  });

  it('keeps what it measures while the broker is away, and sends it afterwards', async () => {
    const port = await freePort();
    meter = meterWith({}, port);
    meter.start();
    await eventually(() => assert.equal(meter.state.connection, 'offline'));
    assert.match(meter.state.reason ?? '', /ECONNREFUSED/);
    assert.equal(meter.state.waiting, 96);
    const late = await startTestBroker({}, { port });
    late.sink.settling = true;
    try {
      await upToDate();
      assert.equal(late.sink.deliveries.length, 96);
      assert.equal(meter.state.connection, 'online');
    } finally {
      await meter.stop();
      await late.broker.close({ drainMs: 0 });
    }
  });

  it('sends telemetry of its device at QoS 0 in the contract’s shape ([M-10])', async () => {
    meter = meterWith({ telemetrySeconds: 5, backfillHours: 0 });
    meter.start();
    const { topic, qos, payload: text } = await eventually(() => test.sink.deliveries[0] ?? false);
    const payload = JSON.parse(String(text)) as Record<string, unknown>;
    assert.deepEqual([topic, qos], ['devices/id-METER001/telemetry', 0]);
    assert.deepEqual(Object.keys(payload), ['device_id', 'timestamp', 'power_kw', 'voltage_v', 'energy_kwh']);
    assert.equal(payload['device_id'], 'id-METER001');
    assert.equal(meter.state.power_kw, payload['power_kw']);
  });

  it('says why it is offline when its credentials are refused', async () => {
    meter = meterWith({}, test.port, 'wrong');
    meter.start();
    await eventually(() => assert.match(meter.state.reason ?? '', /not authorized/i));
    assert.equal(test.sink.deliveries.length, 0);
  });

  it('holds at most twenty readings in flight and stops in time while nothing is acknowledged', async () => {
    test.sink.settling = false;
    meter.start();
    await eventually(() => assert.ok(test.sink.deliveries.length > 0));
    assert.ok(readings().length <= 20);
    assert.equal(meter.state.waiting, 96);
    const started = Date.now();
    await meter.stop();
    assert.ok(Date.now() - started < 3_000);
    assert.equal(meter.state.connection, 'stopped');
  });
});
