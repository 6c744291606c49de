import assert from 'node:assert/strict';
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { eventually } from '../../support/eventually.js';
import { startMeteredHouse, type MeteredHouse } from '../metered-house.js';
import { compileSketch, workFolder } from './compile.js';

const units = (value: unknown): number => Math.round(Number(value) * 10_000);
const sum = (reports: Record<string, unknown>[]): number =>
  [...new Map(reports.map((one) => [one['timestamp'], one])).values()].reduce(
    (all, { unitsConsumed }) => all + units(unitsConsumed),
    0,
  );

/** The sketch as a process: its serial monitor, its pins, its memory in a file. */
class Esp32 {
  readonly lines: string[] = [];
  private constructor(private readonly process: ChildProcessWithoutNullStreams) {
    createInterface({ input: process.stdout }).on('line', (line) => this.lines.push(line));
  }

  static power(binary: string, memory: string): Esp32 {
    return new Esp32(spawn(binary, { env: { ...process.env, NVS_FILE: memory } }));
  }

  /** 30 A per volt at 240 V: 7.2 kW are 1 V, and the most. */
  load(watts: number): void {
    this.process.stdin.write(`volts ${watts / 240 / 30}\n`);
  }

  wifi(state: 'on' | 'off'): void {
    this.process.stdin.write(`wifi ${state}\n`);
  }

  get relay(): boolean {
    return this.lines.findLast((line) => line.startsWith('pin 26 ')) === 'pin 26 1';
  }

  has(line: string): boolean {
    return this.lines.includes(line);
  }

  async unplug(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const gone = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await gone;
  }
}

describe('The ESP32 sketch, built for this machine, on our broker', function () {
  this.timeout(120_000);
  let house: MeteredHouse;
  let folder: string;
  let binary: string;
  let esp32: Esp32;
  let memory: string;
  let turn = 0;
  /** Rising over all tests of the file. */
  let timestamp = Date.now();

  before(async () => {
    folder = workFolder();
    house = await startMeteredHouse();
    binary = await compileSketch(folder, {
      WIFI_SSID: '"bench"',
      WIFI_PASSWORD: '"bench"',
      METER_ID: '"METER001"',
      MQTT_USER: '"METER001"',
      MQTT_PASSWORD: '"secret of METER001"',
      MQTT_HOST: '"127.0.0.1"',
      MQTT_PORT: String(house.test.port),
      NTP_SERVER: '""',
      RELAY_PIN: '26',
      CURRENT_PIN: '34',
      AMPS_PER_VOLT: '30.0',
      AMPS_LEAST: '0.05',
      MAINS_VOLTS: '240.0',
      REPORT_SECONDS: '1',
      LOW_BALANCE_UNITS: '10000',
      DEVICE_SECRET: '"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"',
    });
  });
  beforeEach(async () => {
    house.said.splice(0);
    turn += 1;
    memory = join(folder, `nvs-${turn}`);
    esp32 = Esp32.power(binary, memory);
    await asked();
  });
  afterEach(() => esp32.unplug());
  after(async () => {
    await house.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const asked = () => eventually(() => assert.ok(house.of('balance/request').length > 0));
  const reports = () => house.of('consumption');

  async function credit(balance: number): Promise<void> {
    const count = house.of('balance').length;
    await house.command(balance, (timestamp += 1));
    await eventually(() => assert.ok(house.of('balance').length > count));
    assert.deepEqual(house.of('balance').at(-1), { meterNo: 'METER001', balance, timestamp });
  }

  it('boots with the relay off, asks, obeys a newer command, and says it in the original’s lines', async () => {
    assert.equal(esp32.relay, false);
    await credit(10.5);
    await eventually(() => assert.equal(house.of('status').length, 1));
    assert.equal(esp32.relay, true);
    const { timestamp: said, ...status } = house.of('status')[0] ?? {};
    assert.deepEqual(status, {
      meterNo: 'METER001',
      status: 'online',
      message: 'Device operating normally',
      balance: 10.5,
      wifi_rssi: -65,
    });
    assert.ok(Math.abs(Number(said) - Date.now()) < 10_000);
    await house.command(99, timestamp - 1);
    await credit(0);
    assert.equal(esp32.relay, false);
    assert.deepEqual(esp32.lines.slice(0, 5), [
      '=== ESP32 Smart Meter ===',
      'WiFi connected: 127.0.0.1',
      'MQTT connected: 127.0.0.1',
      'pin 26 1',
      'Balance updated: 10.5000',
    ]);
    assert.ok(esp32.has('Status: Online'));
  });

  it('measures the current, deducts it, and reports it at QoS 1 with four exact decimals', async () => {
    await credit(5);
    esp32.load(7_200);
    await eventually(() => assert.ok(reports().length >= 4));
    let [balance, total] = [50_000, 0];
    for (const report of reports()) {
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
        [report['remainingBalance'], report['totalConsumed']],
        [balance / 10_000, total / 10_000],
      );
    }
    // 7.2 kW are 20 units a second; a measurement of one second may fall on this or that side of a report.
    const [first, ...later] = reports();
    const ms = Number(later.at(-1)?.['timestamp']) - Number(first?.['timestamp']);
    assert.ok(Math.abs(sum(later) - ms / 50) < 23, `${sum(later)} in ${ms} ms`);
    const qos = house.test.sink.deliveries.filter(({ topic }) => topic.endsWith('/consumption'));
    assert.ok(qos.every((one) => one.qos === 1));
    assert.match(esp32.lines.join('\n'), /^Consumption: 0\.\d{4} kWh$/m);
  });

  it('opens the relay when the balance is used up, and reports that at once', async () => {
    await credit(0.002);
    esp32.load(7_200);
    await eventually(() => assert.equal(esp32.relay, false));
    await eventually(() => assert.equal(sum(reports()), 20));
    assert.equal(reports().at(-1)?.['remainingBalance'], 0);
    await eventually(() => assert.equal(house.of('status').at(-1)?.['status'], 'low_balance'));
  });

  it('goes on without network, and replays in order afterwards', async () => {
    await credit(5);
    esp32.load(7_200);
    await eventually(() => assert.ok(reports().length > 0));
    esp32.wifi('off');
    const consumed = () => esp32.lines.filter((line) => line.startsWith('Consumption: '));
    const before = consumed().length;
    await eventually(() => assert.ok(consumed().length >= before + 3));
    assert.ok(reports().length <= before);
    esp32.load(0);
    esp32.wifi('on');
    const logged = () => consumed().reduce((all, line) => all + units(line.split(' ')[1]), 0);
    await eventually(() => assert.equal(sum(reports()), logged()), { timeoutMs: 15_000 });
    const times = reports().map(({ timestamp: time }) => Number(time));
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
  });

  it('sends the same report again after the plug was pulled before its PUBACK, and knows its balance', async () => {
    await credit(5);
    house.test.sink.settling = false;
    try {
      const before = house.test.sink.deliveries.length;
      const received = () => house.test.sink.deliveries.slice(before).filter(({ qos }) => qos === 1);
      esp32.load(7_200);
      await eventually(() => assert.ok(received().length > 0));
      await esp32.unplug();
      const [report] = received();
      house.said.splice(0);
      house.test.sink.settling = true;
      esp32 = Esp32.power(binary, memory);
      await eventually(() => assert.ok(received().length > 1), { timeoutMs: 15_000 });
      assert.equal(String(received()[1]?.payload), String(report?.payload));
      // From NVS, before anybody has told it.
      assert.equal(esp32.relay, true);
      assert.equal(house.of('balance').length, 0);
    } finally {
      house.test.sink.settling = true;
    }
  });

  describe('that gets a token', () => {
    const answers = () => house.of('meters/METER001/token/response');
    const hand = (command: object | string): Promise<unknown> =>
      house.backend.publishAsync(
        'meters/METER001/command/token',
        typeof command === 'string' ? command : JSON.stringify(command),
        { qos: 1 },
      );
    const example = { credit_token: '54158492421732529281', message_id: 'm-1' };
    const accepted = {
      meter_number: 'METER001',
      status: 'success',
      injected_units: 2,
      message: 'ACCEPT',
      message_id: 'm-1',
    };
    before(() => house.backend.subscribeAsync('meters/METER001/token/response', { qos: 1 }));

    it('credits it once, closes the relay, and answers at QoS 1, the same message in the same way', async () => {
      await credit(0);
      await hand(example);
      await eventually(() => assert.equal(answers().length, 1));
      assert.equal(esp32.relay, true);
      await hand(example);
      await eventually(() => assert.equal(answers().length, 2));
      await hand({ ...example, message_id: 'm-2' });
      await eventually(() => assert.equal(answers().length, 3));
      assert.deepEqual(answers().slice(0, 2), [accepted, accepted]);
      assert.equal(answers()[2]?.['status'], 'used');
      await hand('23716100501183194198');
      await eventually(() => assert.equal(answers()[3]?.['injected_units'], 55.2));
      assert.ok(esp32.has('Token taken: 2.0000 kWh'));
      assert.ok(!esp32.lines.some((line) => line.includes(example.credit_token)));
      const qos = house.test.sink.deliveries.filter(({ topic }) => topic.endsWith('/token/response'));
      assert.ok(qos.length > 0 && qos.every((one) => one.qos === 1));
    });

    it('answers again after the plug was pulled before its PUBACK, and has credited it once', async () => {
      await credit(1);
      house.test.sink.settling = false;
      try {
        const before = house.test.sink.deliveries.length;
        const received = () =>
          house.test.sink.deliveries.slice(before).filter(({ topic }) => topic.endsWith('/token/response'));
        await hand(example);
        await eventually(() => assert.equal(received().length, 1));
        await esp32.unplug();
        house.said.splice(0);
        house.test.sink.settling = true;
        esp32 = Esp32.power(binary, memory);
        await eventually(() => assert.ok(received().length > 1), { timeoutMs: 15_000 });
        assert.equal(String(received()[1]?.payload), String(received()[0]?.payload));
        await eventually(() => assert.equal(house.of('status').at(-1)?.['balance'], 3), {
          timeoutMs: 15_000,
        });
      } finally {
        house.test.sink.settling = true;
      }
    });
  });
});
