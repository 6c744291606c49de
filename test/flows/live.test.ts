import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import type { MqttClient } from 'mqtt';
import { listenTo, type Listener, type Told } from '../live/listener.js';
import { c2bBody, receiptOf } from '../payments/callbacks.js';
import { eventually } from '../support/eventually.js';
import { assertDocumented } from '../support/live-messages.js';
import { quarter, startHouse, type Device, type House } from './house.js';

const secret = 'the-callback-secret-of-this-test';
const token = '54158492421732529281';

describe('the tab Live: what happens in the house is told on /ws', function () {
  this.timeout(180_000);
  let house: House;
  let device: Device;
  let meter: MqttClient;
  let listener: Listener;
  let url: string;

  before(async () => {
    house = await startHouse({ PAYMENT_CALLBACK_SECRET: secret });
    url = `${house.appliance.url.replace('http:', 'ws:')}/ws`;
    device = await house.register('METER001', { drn: '09000030529' });
    await house.register('METER002');
    listener = await listenTo(url);
    meter = await house.connect(device);
  });
  after(async () => {
    listener?.ws.terminate();
    await house?.close();
  });

  /** The first event of this kind from here on. */
  const next = async (event: string, work: () => Promise<unknown>): Promise<Told> => {
    const before = listener.told.length;
    await work();
    await eventually(() => listener.told.slice(before).some((told) => told.event === event));
    const found = listener.told.slice(before).filter((told) => told.event === event);
    assert.equal(found.length, 1, JSON.stringify(found));
    return found[0] as Told;
  };

  it('a device that came', async () => {
    await eventually(() => listener.told.some(({ data }) => data['status'] === 'connected'));
    const [told] = listener.told;
    assert.equal(told?.event, 'DeviceStatus');
    assert.deepEqual([told?.data['meter_id'], told?.data['device_id']], ['METER001', device.id]);
  });

  it('a reading over MQTT', async () => {
    const time = quarter(1);
    const { data } = await next('MeterReadingSubmitted', () =>
      meter.publishAsync(
        'meters/METER001/readings',
        JSON.stringify({ kwh_amount: 1.25, reading_timestamp: time }),
        { qos: 1 },
      ),
    );
    const user = await house.value(`select id::text from users where email = 'demo'`);
    assert.deepEqual(data, {
      meter_id: 'METER001',
      user_id: user,
      kwh_amount: 1.25,
      timestamp: time,
      source: 'mqtt',
    });
  });

  it('one over HTTP, and none when it is repeated', async () => {
    const body = { meter_id: 'METER002', kwh_amount: 2, reading_timestamp: quarter(1) };
    const { data } = await next('MeterReadingSubmitted', () =>
      house.request('POST', '/api/meters/submit-reading', body),
    );
    assert.deepEqual([data['meter_id'], data['kwh_amount'], data['source']], ['METER002', 2, 'http']);
    const before = listener.told.length;
    assert.equal((await house.request('POST', '/api/meters/submit-reading', body)).status, 200);
    await next('MeterReadingSubmitted', () =>
      house.request('POST', '/api/meters/submit-readings-batch', {
        readings: [{ ...body, reading_timestamp: quarter(3) }],
      }),
    );
    assert.deepEqual(
      listener.told.slice(before).map(({ data: one }) => one['source']),
      ['batch'],
    );
  });

  it('a payment and the balance that it makes, and its reversal', async () => {
    const receipt = receiptOf(1);
    const { data } = await next('PaymentReceived', () =>
      house.request('POST', `/api/payments/c2b/confirmation/${secret}`, c2bBody({ TransID: receipt })),
    );
    assert.deepEqual(
      [data['receipt'], data['amount'], data['currency'], data['meter_id'], data['status']],
      [receipt, 100, 'KES', 'METER001', 'accepted'],
    );
    assert.doesNotMatch(JSON.stringify(listener.told), /678|John|phone/);
    await eventually(() => listener.told.at(-1)?.event === 'BalanceChanged');
    assert.deepEqual(
      [listener.told.at(-1)?.data['balance'], listener.told.at(-1)?.data['reason']],
      [4, 'payment'],
    );
    // The same callback again is no news.
    await house.request('POST', `/api/payments/c2b/confirmation/${secret}`, c2bBody({ TransID: receipt }));
    const back = await next('BalanceChanged', () =>
      house.request('POST', `/api/admin/payments/${receipt}/reverse`, { reason: 'a test' }),
    );
    assert.deepEqual([back.data['balance'], back.data['reason'], back.data['units']], [0, 'reversal', -4]);
  });

  it('money that names no meter, and its allocation', async () => {
    const { data } = await next('PaymentReceived', () =>
      house.request(
        'POST',
        `/api/payments/c2b/confirmation/${secret}`,
        c2bBody({ TransID: receiptOf(2), BillRefNumber: 'NOBODY' }),
      ),
    );
    assert.deepEqual([data['meter_id'], data['status']], [null, 'suspense']);
    const id = await house.value('select id from payments where receipt = $1', receiptOf(2));
    const { data: moved } = await next('BalanceChanged', () =>
      house.request('POST', `/api/admin/suspense/${String(id)}/allocate`, { meter_number: 'METER002' }),
    );
    assert.deepEqual([moved['meter_id'], moved['balance'], moved['reason']], ['METER002', 4, 'allocation']);
  });

  it('consumption, and what a meter says of itself', async () => {
    const { data } = await next('BalanceChanged', () =>
      meter.publishAsync(
        'smartmeter/METER001/consumption',
        JSON.stringify({
          meterNo: 'METER001',
          unitsConsumed: 0.0048,
          remainingBalance: 0,
          timestamp: Date.now(),
        }),
        { qos: 1 },
      ),
    );
    assert.deepEqual([data['balance'], data['reason'], data['units']], [-0.0048, 'consumption', -0.0048]);
    const said = {
      meterNo: 'METER001',
      status: 'low_balance',
      message: 'low',
      balance: -0.0048,
      wifi_rssi: -61,
    };
    const { data: status } = await next('DeviceStatus', () =>
      meter.publishAsync('smartmeter/METER001/status', JSON.stringify(said)),
    );
    assert.deepEqual([status['status'], status['wifi_rssi']], ['low_balance', -61]);
  });

  it('a token that the meter has confirmed', async () => {
    // The simulated system calls a meter by the number that it was given.
    await meter.subscribeAsync(['meters/METER001/command/token', 'meters/09000030529/command/token'], {
      qos: 1,
    });
    meter.on('message', (topic) => {
      if (!topic.endsWith('/command/token')) return;
      const answer = { meter_number: '09000030529', status: 'success', injected_units: 2.5 };
      meter.publish(topic.replace('command/token', 'token/response'), JSON.stringify(answer), { qos: 1 });
    });
    let injection: unknown;
    const { data } = await next('TokenInjected', async () => {
      const { status, body } = await house.request('POST', '/api/inject_token', {
        meter_number: '09000030529',
        credit_token: token,
      });
      assert.equal(status, 200, JSON.stringify(body));
      injection = (body as Record<string, unknown>)['injection_id'];
    });
    assert.deepEqual(
      [data['injection_id'], data['meter_id'], data['injected_units']],
      [injection, 'METER001', 2.5],
    );
    await eventually(() =>
      listener.told.some(({ data: one }) => one['reason'] === 'token' && one['balance'] === 2.4952),
    );
  });

  it('and resumes for who was away, from where he was', async () => {
    const last = listener.told.at(-1)?.id ?? '';
    await next('MeterReadingSubmitted', () =>
      house.request('POST', '/api/meters/submit-reading', {
        meter_id: 'METER002',
        kwh_amount: 3,
        reading_timestamp: quarter(5),
      }),
    );
    const again = await listenTo(
      `${url}?events=MeterReadingSubmitted&last_event_id=${encodeURIComponent(last)}`,
    );
    const [told] = await again.hears(1);
    assert.equal(told?.data['kwh_amount'], 3);
    await again.close();
  });

  it('says of the stream itself what it knows: a choice, a mistake, a gap', async () => {
    const chooser = await listenTo(`${url}?events=none&last_event_id=nobody's`);
    chooser.say({ action: 'subscribe', events: ['BalanceChanged'], meters: ['METER001'] });
    chooser.say({ action: 'subscribe' });
    chooser.say({ action: 'subscribe', events: 7 });
    const told = await chooser.hears(4);
    assert.deepEqual(
      told.map(({ event }) => event),
      ['Gap', 'Subscribed', 'Subscribed', 'Error'],
    );
    assertDocumented(told);
    await chooser.close();
  });

  it('says nothing but what the API document knows [H-20]', () => {
    assertDocumented(listener.told);
    const kinds = new Set(listener.told.map(({ event }) => event));
    assert.deepEqual([...kinds].sort(), [
      'BalanceChanged',
      'DeviceStatus',
      'MeterReadingSubmitted',
      'PaymentReceived',
      'TokenInjected',
    ]);
  });

  it('counts them for Prometheus', async () => {
    const metrics = async (): Promise<string> => (await fetch(`${house.appliance.url}/metrics`)).text();
    await eventually(async () => /^websocket_clients_connected 1$/m.test(await metrics()));
    const text = await metrics();
    assert.match(text, /^websocket_messages_sent_total\{event_type="PaymentReceived"\} 2$/m);
    assert.match(text, /^websocket_broadcast_duration_seconds_count [1-9]/m);
  });

  it('leaves the editor and the dashboard their own sockets, and foreign pages outside', async () => {
    const { host } = new URL(house.appliance.url);
    assert.match(await firstText(`ws://${host}/dashboard/socket.io/?EIO=4&transport=websocket`), /^0\{"sid"/);
    const editor = new WebSocket(`ws://${host}/comms`);
    await new Promise((resolve, reject) => editor.once('open', resolve).once('error', reject));
    await next('MeterReadingSubmitted', () =>
      house.request('POST', '/api/meters/submit-reading', {
        meter_id: 'METER002',
        kwh_amount: 4,
        reading_timestamp: quarter(7),
      }),
    );
    // Longer than socket.io lets somebody wait whom nobody has answered.
    const began = Date.now();
    await eventually(() => Date.now() - began > 1_500);
    assert.deepEqual([editor.readyState, listener.ws.readyState], [WebSocket.OPEN, WebSocket.OPEN]);
    editor.terminate();
    await assert.rejects(listenTo(url, { origin: 'http://evil.example' }), { message: 'refused with 403' });
  });
});

function firstText(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url);
    ws.once('error', reject);
    ws.once('message', (data) => {
      ws.terminate();
      resolve((data as Buffer).toString());
    });
  });
}
