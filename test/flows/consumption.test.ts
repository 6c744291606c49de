import assert from 'node:assert/strict';
import type { MqttClient } from 'mqtt';
import { openDatabase, type Database } from '../../src/database/database.js';
import { balanceOf, credit, discrepancies } from '../balances/meters.js';
import { eventually } from '../support/eventually.js';
import { Firmware } from '../support/firmware.js';
import { startHouse, type Device, type House } from './house.js';

interface Command {
  readonly balance: number;
  readonly timestamp: number;
}

describe('prepaid meters at the shipped flows', function () {
  this.timeout(150_000);
  let house: House;
  let database: Database;
  const firmwares: Firmware[] = [];

  before(async () => {
    house = await startHouse({}, (url) => {
      database = openDatabase({ url, connectionsMax: 2 });
      return Promise.resolve(url);
    });
  });
  after(async () => {
    for (const firmware of firmwares) firmware.end();
    await database?.close();
    await house?.close();
  });

  const report = (meterNo: string, unitsConsumed: number, remainingBalance: number, more: object = {}) =>
    JSON.stringify({ meterNo, unitsConsumed, remainingBalance, ...more });

  /** A meter that takes over its balance and says so, as the original firmware does. */
  async function listening(meter: Device): Promise<{ client: MqttClient; commands: Command[] }> {
    const client = await house.connect(meter);
    const commands: Command[] = [];
    client.on('message', (_topic, payload) => {
      const command = JSON.parse(payload.toString()) as Command;
      commands.push(command);
      const confirmation = { meterNo: meter.meter_id, balance: command.balance, timestamp: Date.now() };
      client.publish(`smartmeter/${meter.meter_id}/balance`, JSON.stringify(confirmation), { qos: 0 });
    });
    await client.subscribeAsync(`smartmeter/${meter.meter_id}/command/#`, { qos: 1 });
    return { client, commands };
  }

  const openCommands = (meter: Device) =>
    house.value(
      `select count(*)::int from outbox where kind = 'balance' and subject = $1 and done_at is null`,
      meter.meter_id,
    );

  it('the original document, from the payment to the last unit: 5.25, 10.5, 0.0048', async () => {
    const meter = await house.register('METER001');
    const { client, commands } = await listening(meter);
    const topic = 'smartmeter/METER001/consumption';
    await credit(database, 'METER001', 5.25);
    await eventually(() => commands.at(-1)?.balance === 5.25);
    await client.publishAsync(
      topic,
      report('METER001', 0.0048, 5.2452, { totalConsumed: 0.0048, timestamp: Date.now() }),
      { qos: 1 },
    );
    assert.equal(await balanceOf(database, 'METER001'), '5.2452');
    await credit(database, 'METER001', 5.2548);
    await eventually(() => commands.at(-1)?.balance === 10.5);
    await client.publishAsync(
      topic,
      report('METER001', 0.0048, 10.4952, { totalConsumed: 0.0096, timestamp: Date.now() }),
      { qos: 1 },
    );
    assert.equal(await balanceOf(database, 'METER001'), '10.4952');
    await eventually(async () => (await openCommands(meter)) === 0);
    assert.equal(await house.value('select count(*)::int from balance_drifts'), 0);
    const log = house.appliance.output();
    assert.match(log, /Consumption report - Meter: METER001, Units: 0\.0048/);
  });

  it('an absent meter hears of its payment when it returns', async () => {
    const meter = await house.register('METER002');
    await credit(database, 'METER002', 3);
    const { commands } = await listening(meter);
    await eventually(() => commands.at(-1)?.balance === 3);
    await eventually(async () => (await openCommands(meter)) === 0);
  });

  it('a status is kept on the device with its time [M-3]', async () => {
    const meter = await house.register('METER003');
    const client = await house.connect(meter);
    const status = {
      meterNo: 'METER003',
      status: 'low_balance',
      message: 'Low',
      balance: 0.5,
      wifi_rssi: -65,
    };
    await client.publishAsync('smartmeter/METER003/status', JSON.stringify(status), { qos: 0 });
    const kept = await eventually(async () => {
      const [row] = await house.rows(
        `select last_status, last_status_at from devices where meter_id = 'METER003' and last_status is not null`,
      );
      return row ?? false;
    });
    const { meterNo: _meterNo, ...fields } = status;
    assert.deepEqual(kept['last_status'], { ...fields, timestamp: null });
    assert.ok(Math.abs((kept['last_status_at'] as Date).getTime() - Date.now()) < 10_000);
  });

  it('every report is applied, known, or quarantined, however often it comes and in whatever order [M-14]', async () => {
    const meter = await house.register('METER004');
    const firmware = new Firmware({
      port: house.appliance.mqttPort,
      ...meter,
      clientId: meter.user,
      window: 50,
    });
    firmwares.push(firmware);
    await credit(database, 'METER004', 100);
    const begin = Date.now() - 3 * 86_400_000;
    const topic = 'smartmeter/METER004/consumption';
    const buffered = Array.from({ length: 300 }, (_, n) =>
      report('METER004', 0.0048, 100 - 0.0048 * (n + 1), { timestamp: begin + n * 30_000 }).replace(
        /"remainingBalance":[\d.]+/,
        `"remainingBalance":${((1_000_000 - 48 * (n + 1)) / 10_000).toFixed(4)}`,
      ),
    );
    // The newest first, each third twice, a line that breaks twice, and five that are wrong.
    buffered.toReversed().forEach((payload, n) => {
      firmware.publish(topic, payload);
      if (n % 3 === 0) firmware.publish(topic, payload);
      if (n % 60 === 0) firmware.publish(topic, report('METER004', 1, 1, { timestamp: 'never' }));
    });
    await eventually(() => firmware.acknowledgements > 50);
    firmware.drop();
    await eventually(() => firmware.acknowledgements > 200, { timeoutMs: 20_000 });
    firmware.drop();
    await eventually(() => firmware.unacknowledged === 0, { timeoutMs: 30_000 });
    const [row] = await house.rows(
      `select (select count(*)::int from consumption_reports where meter_id = 'METER004') as applied,
              (select count(distinct payload)::int from quarantined_messages where meter_id = 'METER004') as quarantined`,
    );
    assert.deepEqual(row, { applied: 300, quarantined: 1 });
    assert.equal(await balanceOf(database, 'METER004'), '98.5600');
    assert.equal(await discrepancies(database), 0);
  });
});
