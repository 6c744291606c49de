import assert from 'node:assert/strict';
import mqtt, { type MqttClient } from 'mqtt';
import { createBalanceSync } from '../../src/balances/balance-sync.js';
import {
  startRelay,
  type ConfirmedCommand,
  type Relay,
  type RelayOptions,
} from '../../src/balances/commands.js';
import { confirmCommands } from '../../src/balances/confirmations.js';
import { defaultReportLimits } from '../../src/balances/report-rules.js';
import { openDatabase } from '../../src/database/database.js';
import { openMqttLink, type MqttLink } from '../../src/mqtt/link.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { as, startTestBroker, type TestBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { credit, one } from './meters.js';

interface Heard {
  readonly topic: string;
  readonly balance: number;
  readonly timestamp: number;
  readonly qos: number;
  readonly retain: boolean;
}

const meter = 'METER001';
const wait = { signal: new AbortController().signal };

describe('Balance commands', () => {
  let test: TestDatabase;
  let broker: TestBroker;
  let closing: (() => Promise<unknown>)[] = [];
  let heard: Heard[] = [];
  before(async () => {
    broker = await startTestBroker();
  });
  after(() => broker.broker.close());
  beforeEach(async () => {
    test = await createTestDatabase();
    heard = [];
  });
  afterEach(async () => {
    for (const close of closing.toReversed()) await close();
    closing = [];
    await test.drop();
  });

  function relay(options: Partial<RelayOptions> = {}, port = broker.port): Relay {
    const database = openDatabase({ url: test.url, connectionsMax: 3 });
    const link = linkTo(port);
    const started = startRelay(database, link, { instance: 'one', ...options });
    closing.push(
      () => database.close(),
      () => link.close(),
      () => started.close(),
    );
    return started;
  }

  function linkTo(port: number): MqttLink {
    const { user, password } = as('backend');
    const clientId = `backend-${closing.length}`;
    return openMqttLink({ host: '127.0.0.1', port, tls: false, clientId, username: user, password });
  }

  async function listen(name = meter): Promise<MqttClient> {
    const { id, user, password } = as(name);
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`, {
      clientId: id,
      username: user,
      password,
    });
    client.on('message', (topic, payload, { qos, retain }) => {
      heard.push({
        topic,
        ...(JSON.parse(payload.toString()) as { balance: number; timestamp: number }),
        qos,
        retain,
      });
    });
    await client.subscribeAsync(`smartmeter/${name}/command/#`, { qos: 1 });
    closing.push(() => client.endAsync(true));
    return client;
  }

  const confirm = (balance: number, timestamp: number | null = null) =>
    confirmCommands(test.database, [
      { meter_id: meter, balance: Math.round(balance * 10_000), timestamp, received_at: Date.now() },
    ]);
  const open = async () =>
    (await one<{ n: number }>(test.database, `select count(*)::int as n from outbox where done_at is null`))
      .n;
  const rises = (list: readonly Heard[]) =>
    list.every(({ timestamp }, index) => timestamp > (list[index - 1]?.timestamp ?? -Infinity));

  it('reach the meter after the commit, with QoS 1, not retained [M-6]', async () => {
    await listen();
    relay();
    await credit(test.database, meter, 10.5);
    const [command] = await eventually(() => heard.length > 0 && heard);
    assert.deepEqual(command, {
      topic: 'smartmeter/METER001/command/balance',
      balance: 10.5,
      timestamp: command?.timestamp,
      qos: 1,
      retain: false,
    });
    assert.ok(Math.abs((command?.timestamp ?? 0) - Date.now()) < 10_000);
  });

  it('of a meter named by its drn go where it listens [M-12]', async () => {
    await test.database.query({
      text: `insert into balance_commands (meter_id, last_timestamp, topic_name) values ('SOME-ID', 0, 'METER001')`,
    });
    await listen();
    relay();
    await credit(test.database, 'SOME-ID', 1);
    await eventually(() => heard.some(({ topic }) => topic === 'smartmeter/METER001/command/balance'));
  });

  it('are repeated until the meter confirms, with growing pauses and rising timestamps', async () => {
    await listen();
    const times: number[] = [];
    relay({ backoff: { firstMs: 100, mostMs: 400 }, onSent: () => times.push(performance.now()) });
    await credit(test.database, meter, 2);
    await eventually(() => times.length >= 4 && heard.length >= 4);
    assert.ok(rises(heard));
    assert.deepEqual([...new Set(heard.map(({ balance }) => balance))], [2]);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    assert.ok((gaps[0] ?? 0) >= 90 && (gaps[2] ?? 0) >= 390, `gaps ${gaps.join(', ')}`);
    assert.equal(await confirm(2, heard.at(-1)?.timestamp), 1);
    assert.equal(await open(), 0);
    const { outcome } = await one<{ outcome: string }>(test.database, 'select outcome from outbox');
    assert.equal(outcome, 'confirmed');
  });

  it('are told as confirmed at every instance, whichever heard the meter', async () => {
    const told: ConfirmedCommand[][] = [[], []];
    await listen();
    relay({ onConfirmed: (confirmed) => told[0]?.push(...confirmed) });
    relay({ instance: 'two', onConfirmed: (confirmed) => told[1]?.push(...confirmed) });
    await credit(test.database, meter, 3);
    await eventually(() => heard.length > 0);
    await confirm(3, heard[0]?.timestamp);
    await eventually(() => told.every((list) => list.length === 1));
    assert.equal(told[0]?.[0]?.meter_id, meter);
    assert.equal(told[0]?.[0]?.balance, 3);
  });

  const confirmations: readonly [
    title: string,
    balance: number,
    time: 'its own' | 'the command’s' | 'none',
    closes: boolean,
  ][] = [
    ['the command’s balance and timestamp', 4.25, 'the command’s', true],
    ['the command’s balance at the meter’s own time', 4.25, 'its own', true],
    ['the command’s balance without a time', 4.25, 'none', true],
    ['the balance as a display shows it', 4.2501, 'none', true],
    ['the command’s timestamp and less, for it has consumed', 4.2, 'the command’s', true],
    ['another balance', 4.2, 'its own', false],
  ];
  for (const [title, balance, time, closes] of confirmations) {
    it(`${closes ? 'are' : 'are not'} closed by ${title} [M-4]`, async () => {
      await listen();
      relay();
      await credit(test.database, meter, 4.25);
      const [command] = await eventually(() => heard.length > 0 && heard);
      const timestamp = { 'its own': Date.now() + 77, 'the command’s': command?.timestamp ?? 0, none: null }[
        time
      ];
      assert.equal(await confirm(balance, timestamp), closes ? 1 : 0);
      assert.equal(await open(), closes ? 0 : 1);
    });
  }

  it('are not closed by a confirmation before they were ever sent', async () => {
    await credit(test.database, meter, 4.25);
    assert.equal(await confirm(4.25), 0);
    assert.equal(await open(), 1);
  });

  it('whose balance changed on the way are followed by the new balance when the old one is confirmed', async () => {
    await listen();
    await credit(test.database, meter, 5);
    const first = relay();
    const [old] = await eventually(() => heard.length > 0 && heard);
    await first.close();
    await credit(test.database, meter, 2.5);
    assert.equal(await confirm(5, old?.timestamp), 0, 'more is wanted');
    relay({ instance: 'two' });
    await eventually(() => heard.at(-1)?.balance === 7.5);
    assert.ok(rises(heard));
    assert.equal(await confirm(7.5, heard.at(-1)?.timestamp), 1);
  });

  it('rise strictly with several instances whose clocks differ, and after a clock step back [M-6]', async () => {
    await listen();
    const behind = Date.now() - 3_600_000;
    let clock = Date.now() + 60_000;
    relay({ now: () => clock, backoff: { firstMs: 60, mostMs: 60 } });
    relay({ instance: 'two', now: () => behind, backoff: { firstMs: 60, mostMs: 60 } });
    for (let n = 1; n <= 20; n += 1) {
      await credit(test.database, meter, 0.01);
      clock -= 10_000;
      await eventually(() => heard.at(-1)?.balance === n / 100);
    }
    assert.ok(rises(heard), JSON.stringify(heard.map(({ timestamp }) => timestamp)));
  });

  it('end with the ledger’s balance at the meter, however many payments at once and instances side by side', async () => {
    await listen();
    relay();
    relay({ instance: 'two' });
    relay({ instance: 'three' });
    await Promise.all(Array.from({ length: 200 }, () => credit(test.database, meter, 0.5)));
    await eventually(() => heard.at(-1)?.balance === 100);
    assert.ok(rises(heard));
    assert.equal(await confirm(100, heard.at(-1)?.timestamp), 1);
  });

  it('wait for a broker that is away, and are not sent twice by a client that comes back late', async () => {
    const port = await freePort();
    const states: (string | null)[] = [];
    relay({ onState: (reason) => states.push(reason) }, port);
    await credit(test.database, meter, 1);
    // Nothing is claimed while there is no connection.
    const { attempts } = await one<{ attempts: number }>(test.database, 'select attempts from outbox');
    assert.equal(attempts, 0);
    const late = await startTestBroker({}, { port });
    closing.push(() => late.broker.close());
    const { id, user, password } = as(meter);
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
      clientId: id,
      username: user,
      password,
    });
    closing.push(() => client.endAsync(true));
    const found: number[] = [];
    client.on('message', (_topic, payload) => found.push((JSON.parse(payload.toString()) as Heard).balance));
    await client.subscribeAsync('smartmeter/METER001/command/#', { qos: 1 });
    await eventually(() => found.length === 1);
  });

  it('are forgotten 90 days after they were closed', async () => {
    for (const [subject, days] of [
      ['OLD', 91],
      ['YOUNG', 89],
    ] as const) {
      await test.database.query({
        text: `insert into outbox (kind, subject, done_at, outcome)
               values ('balance', $1, now() - $2 * interval '1 day', 'confirmed')`,
        values: [subject, days],
      });
    }
    await credit(test.database, 'OPEN', 1);
    relay();
    await eventually(async () => {
      const { rows } = await test.database.query<{ subject: string }>({
        text: 'select subject from outbox order by id',
      });
      assert.deepEqual(
        rows.map(({ subject }) => subject),
        ['YOUNG', 'OPEN'],
      );
    });
  });

  describe('leave again at once', () => {
    const sync = () =>
      createBalanceSync(test.database, { limits: defaultReportLimits, lowUnits: 10_000, driftUnits: 5_000 });
    const session = (event: 'connected' | 'subscribed', filter?: string) => ({
      event,
      kind: 'device' as const,
      client_id: meter,
      mqtt_user: meter,
      device_id: 'id',
      meter_id: meter,
      address: '',
      reason: null,
      at: Date.now(),
      ...(filter === undefined ? {} : { filter }),
    });
    const delivery = (kind: string, payload: object) => ({
      delivery: 0,
      topic: `smartmeter/${meter}/${kind}`,
      pattern: `smartmeter/+/${kind}`,
      qos: 0 as const,
      payload: JSON.stringify(payload),
      received_at: Date.now(),
      device_id: 'id',
      meter_id: meter,
      user_id: null,
    });

    const greetings: readonly [title: string, greet: () => Promise<void>, told: boolean][] = [
      [
        'when the meter subscribes',
        () => sync().greet([session('subscribed', `smartmeter/${meter}/command/#`)], wait),
        true,
      ],
      ['when the meter connects', () => sync().greet([session('connected')], wait), true],
      ['when the meter asks [M-5]', () => sync().hear([delivery('balance/request', {})], wait), true],
      [
        'but not when it subscribes to other commands',
        () => sync().greet([session('subscribed', `meters/${meter}/command/#`)], wait),
        false,
      ],
    ];
    for (const [title, greet, told] of greetings) {
      it(title, async () => {
        await credit(test.database, meter, 6);
        await listen();
        relay();
        await eventually(() => heard.length === 1);
        await confirm(6, heard[0]?.timestamp);
        await greet();
        if (!told) return assert.equal(await open(), 0);
        await eventually(() => heard.length === 2);
        assert.equal(heard[1]?.balance, 6);
      });
    }

    it('also a command that waits for its next attempt', async () => {
      await credit(test.database, meter, 6);
      await listen();
      relay({ backoff: { firstMs: 600_000, mostMs: 600_000 } });
      await eventually(() => heard.length === 1);
      await sync().greet([session('subscribed', `smartmeter/${meter}/command/balance`)], wait);
      await eventually(() => heard.length === 2);
    });

    it('with 0 for a meter that asks and never had a balance; a device that only connects hears nothing', async () => {
      await listen();
      relay();
      await sync().greet([session('connected')], wait);
      assert.equal(await open(), 0);
      await sync().hear([delivery('balance/request', {})], wait);
      await eventually(() => heard.length === 1);
      assert.equal(heard[0]?.balance, 0);
    });

    it('once a meter that was away says that it is online, not every half minute [M-3]', async () => {
      await test.database.query({
        text: `insert into devices (type, meter_id, mqtt_user, password_hash) values ('meter', $1, 'user', '\\x00')`,
        values: [meter],
      });
      await credit(test.database, meter, 6);
      await listen();
      relay();
      await eventually(() => heard.length === 1);
      await confirm(6, heard[0]?.timestamp);
      const online = (balance: number) =>
        sync().hear(
          [delivery('status', { meterNo: meter, status: 'online', message: 'ok', balance, wifi_rssi: -65 })],
          wait,
        );
      await online(6);
      await eventually(() => heard.length === 2);
      await confirm(6, heard[1]?.timestamp);
      await online(5.9952);
      assert.equal(await open(), 0, 'it is online, and near enough');
      await online(2);
      await eventually(() => heard.length === 3);
      const { last_status: kept } = await one<{ last_status: object }>(
        test.database,
        'select last_status from devices',
      );
      assert.deepEqual(kept, {
        status: 'online',
        message: 'ok',
        balance: 2,
        wifi_rssi: -65,
        timestamp: null,
      });
    });
  });
});
