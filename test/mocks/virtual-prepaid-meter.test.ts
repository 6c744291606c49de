import assert from 'node:assert/strict';
import type { VirtualMeter } from '../../src/mocks/virtual-meter.js';
import { eventually } from '../support/eventually.js';
import { noon, startMeteredHouse, type MeteredHouse } from './metered-house.js';

const second = 1_000;
const sum = (reports: Record<string, unknown>[]): number =>
  reports.reduce((all, { unitsConsumed }) => all + Math.round(Number(unitsConsumed) * 10_000), 0);
const units = (value: unknown): number => Math.round(Number(value) * 10_000);

describe('A virtual prepaid meter on our broker', () => {
  let house: MeteredHouse;
  beforeEach(async () => {
    house = await startMeteredHouse();
  });
  afterEach(() => house.close());

  const asked = (times: number) => eventually(() => assert.equal(house.of('balance/request').length, times));
  const reported = (times: number) => eventually(() => assert.equal(house.of('consumption').length, times));

  /** Lets time pass in steps of 30 s, each long enough for a measurement and a report. */
  async function pass(meter: VirtualMeter, steps: number): Promise<void> {
    for (let step = 0; step < steps; step += 1) {
      const before = meter.state.session_total;
      house.time += 30 * second;
      await eventually(() => assert.ok(meter.state.session_total > before));
    }
  }

  async function supplied(balance: number, options = {}): Promise<VirtualMeter> {
    const before = house.of('balance/request').length;
    const meter = house.meter(options);
    await asked(before + 1);
    await house.command(balance);
    await eventually(() => assert.equal(meter.state.relay, 'on'));
    return meter;
  }

  it('asks for its balance at the connect; with it the relay goes on, and it says so in the original’s lines', async () => {
    const meter = house.meter();
    await asked(1);
    const { relay, balance, power_kw } = meter.state;
    assert.deepEqual([relay, balance, power_kw], ['off', null, 0]);
    await house.command(10.5, 1_698_765_432_000);
    await eventually(() => assert.equal(house.of('status').length, 1));
    assert.deepEqual(house.of('balance'), [
      { meterNo: 'METER001', balance: 10.5, timestamp: 1_698_765_432_000 },
    ]);
    assert.deepEqual(house.of('status')[0], {
      meterNo: 'METER001',
      status: 'online',
      message: 'Device operating normally',
      balance: 10.5,
      wifi_rssi: meter.state.rssi,
      timestamp: noon,
    });
    assert.ok(meter.state.rssi < -45 && meter.state.rssi > -85);
    assert.equal(meter.state.relay, 'on');
    assert.ok(meter.state.power_kw > 0);
    assert.deepEqual(
      house.log.filter((line) => !/profile/.test(line)),
      [
        'METER001: === ESP32 Smart Meter ===',
        'METER001: WiFi connected: 127.0.0.1',
        'METER001: MQTT connected: 127.0.0.1',
        'METER001: Balance updated: 10.5000',
        'METER001: Status: Online',
      ],
    );
  });

  it('reports what it deducted every 30 s at QoS 1, and status and balance at QoS 0', async () => {
    const meter = await supplied(10.5);
    await pass(meter, 3);
    await reported(3);
    const reports = house.of('consumption');
    let [balance, total] = [105_000, 0];
    for (const [index, report] of reports.entries()) {
      balance -= units(report['unitsConsumed']);
      total += units(report['unitsConsumed']);
      assert.deepEqual(Object.keys(report), [
        'meterNo',
        'unitsConsumed',
        'remainingBalance',
        'totalConsumed',
        'timestamp',
      ]);
      assert.deepEqual(
        [units(report['remainingBalance']), units(report['totalConsumed']), report['timestamp']],
        [balance, total, noon + (index + 1) * 30 * second],
      );
    }
    assert.equal(units(meter.state.balance), balance);
    assert.match(house.log.join('\n'), /METER001: Consumption: 0\.\d{4} kWh/);
    await eventually(() => assert.equal(meter.state.buffered, 0));
    const qos = new Set(house.test.sink.deliveries.map(({ topic, qos: level }) => `${topic} ${level}`));
    assert.deepEqual([...qos].sort(), [
      'smartmeter/METER001/balance 0',
      'smartmeter/METER001/balance/request 0',
      'smartmeter/METER001/consumption 1',
      'smartmeter/METER001/status 0',
    ]);
  });

  it('switches off when the balance is used up, reports that at once, and on again when there is money', async () => {
    const meter = await supplied(0.0002, { telemetrySeconds: 5 });
    // Short of the next report; the telemetry of this instant still shows a load.
    house.time += 20 * second;
    await eventually(() => assert.equal(meter.state.relay, 'off'));
    assert.deepEqual([meter.state.balance, meter.state.power_kw, meter.state.status], [0, 0, 'low_balance']);
    await reported(1);
    assert.deepEqual(
      [sum(house.of('consumption')), house.of('consumption')[0]?.['remainingBalance']],
      [2, 0],
    );
    await eventually(() => assert.equal(house.of('status').at(-1)?.['message'], 'No balance, supply is off'));
    house.time += 20 * second;
    const telemetry = () => house.said.findLast(({ topic }) => topic === 'devices/id-METER001/telemetry');
    await eventually(() => assert.equal(telemetry()?.payload['power_kw'], 0));
    await house.command(5, noon + 60 * second);
    await eventually(() => assert.equal(meter.state.relay, 'on'));
    house.time += 20 * second;
    await eventually(() => assert.ok(Number(telemetry()?.payload['power_kw']) > 0));
  });

  it('says low_balance from the threshold on, on change and every minute', async () => {
    await supplied(1);
    const statuses = () => house.of('status').map(({ status }) => status);
    await eventually(() => assert.deepEqual(statuses(), ['low_balance']));
    await house.command(1.0001, noon + 1);
    await eventually(() => assert.deepEqual(statuses(), ['low_balance', 'online']));
    for (let minute = 1; minute <= 2; minute += 1) {
      await house.command(50, noon + 1 + minute);
      house.time += 60 * second;
      await eventually(() => assert.equal(statuses().length, 2 + minute));
    }
  });

  it('obeys only commands that are newer, and none that is malformed', async () => {
    const meter = await supplied(10);
    await house.command(99, noon - 1);
    await house.backend.publishAsync('smartmeter/METER001/command/balance', '{"balance":"99"}', { qos: 1 });
    await house.command(20, noon + 1);
    await eventually(() => assert.equal(house.of('balance').length, 2));
    assert.equal(meter.state.balance, 20);
    assert.match(house.log.join('\n'), /Balance command refused: balance is not a number/);
  });

  it('goes on with its own balance while the network is cut, and replays in order afterwards', async () => {
    const meter = await supplied(10);
    await meter.command('cut');
    assert.deepEqual([meter.state.connection, meter.state.cut], ['offline', true]);
    await pass(meter, 40);
    assert.deepEqual([meter.state.buffered, meter.state.relay], [40, 'on']);
    assert.equal(house.of('consumption').length, 0);
    await meter.command('restore');
    await reported(40);
    const reports = house.of('consumption');
    const times = reports.map(({ timestamp }) => Number(timestamp));
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    assert.equal(sum(reports), units(meter.state.session_total));
    await eventually(() => assert.deepEqual([meter.state.buffered, meter.state.cut], [0, false]));
    await asked(2);
  });

  it('sends again what was not acknowledged when the connection broke', async () => {
    const meter = await supplied(10);
    house.test.sink.settling = false;
    await pass(meter, 2);
    await eventually(() => assert.equal(house.test.sink.deliveries.filter(({ qos }) => qos === 1).length, 2));
    assert.equal(meter.state.buffered, 2);
    house.test.sink.settling = true;
    house.test.broker.closeSessions('METER001', 'by the test');
    await eventually(() => assert.equal(meter.state.buffered, 0), { timeoutMs: 15_000 });
    const times = house.of('consumption').map(({ timestamp }) => Number(timestamp));
    assert.deepEqual(new Set(times), new Set([noon + 30 * second, noon + 60 * second]));
  });

  it('loses its session counter in a reboot, and neither balance nor reports', async () => {
    const meter = await supplied(10);
    await meter.command('cut');
    await pass(meter, 2);
    const { balance } = meter.state;
    await meter.command('restore');
    await meter.command('reboot');
    assert.deepEqual([meter.state.balance, meter.state.relay, meter.state.session_total], [balance, 'on', 0]);
    await reported(2);
    await pass(meter, 1);
    await reported(3);
    const [, second_, third] = house.of('consumption');
    assert.ok(Number(second_?.['totalConsumed']) > Number(third?.['totalConsumed']));
    assert.equal(third?.['totalConsumed'], third?.['unitsConsumed']);
    assert.equal(house.log.filter((line) => line.endsWith('=== ESP32 Smart Meter ===')).length, 2);
  });

  it('knows nothing after a restart of the process: it asks, and the relay stays off until the answer', async () => {
    const meter = await supplied(10);
    house.time += 10 * second;
    await eventually(() => assert.ok(meter.state.session_total > 0));
    const { session_total } = meter.state;
    await meter.stop();
    // What it had deducted went out before the end.
    assert.equal(sum(house.of('consumption')), units(session_total));
    const again = house.meter();
    await asked(2);
    assert.deepEqual([again.state.relay, again.state.balance], ['off', null]);
    house.time += 5 * second;
    await house.command(9, noon + 1);
    await eventually(() => assert.deepEqual([again.state.relay, again.state.balance], ['on', 9]));
  });

  it('draws nothing while it is paused', async () => {
    const meter = await supplied(10);
    await pass(meter, 1);
    await meter.command('pause');
    const { session_total, power_kw, relay, paused } = meter.state;
    assert.deepEqual([power_kw, relay, paused], [0, 'on', true]);
    house.time += 90 * second;
    // The status of every minute shows that it lives.
    await eventually(() => assert.ok(house.of('status').length > 1));
    assert.equal(meter.state.session_total, session_total);
    await meter.command('resume');
    await pass(meter, 1);
    assert.ok(meter.state.power_kw > 0);
  });

  it('loses and doubles messages by its seed; every report arrives all the same', async () => {
    const meter = house.meter({
      prepaid: { reportSeconds: 30, lowUnits: 10_000, mishaps: { lost: 0.3, doubled: 0.3 } },
    });
    // Commands may get lost as well; the back end repeats them until they are confirmed.
    for (let timestamp = noon; house.of('balance').length === 0; timestamp += 1) {
      await house.command(50, timestamp);
      house.time += second;
      await eventually(() => house.of('balance').length > 0, { timeoutMs: 200 }).catch(() => undefined);
    }
    await pass(meter, 30);
    await meter.command('pause');
    await eventually(() => {
      house.time += 6 * second;
      assert.equal(meter.state.buffered, 0);
    });
    const reports = house.of('consumption');
    const distinct = new Map(reports.map((report) => [report['timestamp'], report]));
    assert.ok(reports.length > distinct.size, 'some came twice');
    assert.equal(sum([...distinct.values()]), units(meter.state.session_total));
  });

  it('is always supplied and silent on its prepaid topics when it is no prepaid meter', async () => {
    const meter = house.meter({ prepaid: undefined, telemetrySeconds: 5 });
    await eventually(() => assert.ok(meter.state.power_kw > 0));
    assert.deepEqual([meter.state.relay, meter.state.balance, meter.state.status], ['on', null, null]);
    await eventually(() => house.said.length > 0);
    assert.deepEqual([...new Set(house.said.map(({ topic }) => topic))], ['devices/id-METER001/telemetry']);
  });
});
