import assert from 'node:assert/strict';
import { createHmac, createSecretKey } from 'node:crypto';
import { createRequire } from 'node:module';
import mqtt from 'mqtt';
import { openApiDocument, type Operation } from '../../src/http/openapi/document.js';
import { createAcceptance } from '../../src/payments/acceptance.js';
import { parseC2bNotice } from '../../src/payments/c2b-notice.js';
import { canonicalString, hmacSignature } from '../../src/readings/signature.js';
import { c2bBody, receiptOf, stkBody } from '../payments/callbacks.js';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { startCaptchaVerifier } from '../support/captcha-verifier.js';
import { eventually } from '../support/eventually.js';
import { startFaultProxy, through, type FaultProxy } from '../support/fault-proxy.js';
import { knock } from '../support/knock.js';
import { listenTo } from '../live/listener.js';
import { createSchemas, operationsOf, type NamedOperation } from '../support/openapi.js';
import { quarter } from './house.js';

/** More than the other rows need. */
const keyRequestsMax = 60;
/** More than there are guarded routes. */
const failuresMax = 100;
/** Of nobody, in the right form. */
const wrongKey = `mfk_${'x'.repeat(43)}`;
const foreignToken = [
  { alg: 'RS256', kid: 'theirs' },
  { sub: 'nobody', exp: 4_102_444_800 },
]
  .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  .concat('signature')
  .join('.');
/** Of one address in a minute, in production. */
const requestsMax = 500;
const document = openApiDocument('0.0.0');
const operations = operationsOf(document);
/** A field that the document does not name is a fault here. */
const schemas = createSchemas(document, { strict: true });
/** What was answered so far, as `GET /devices 400 SCHEMA_INVALID`; a success has no code. */
const seen = new Set<string>();

/** Serves the tab's paths and the appliance's own; the rest of a path template is filled in. */
const noJob = '0b9f4c1e-6f0e-4d7b-9a52-3c1f5f0f7a11';
const filled: Readonly<Record<string, string>> = {
  id: 'METER001',
  meter_id: 'METER001',
  job_id: noJob,
  receipt: receiptOf(1),
  // Of the demo; production has another one.
  secret: 'the-callback-secret-of-this-test',
};
const submit = '/api/meters/submit-reading';
const batch = '/api/meters/submit-readings-batch';
const quarantine = '/api/admin/quarantine';
const hourly = 'GET /api/meters/{meter_id}/stats/hourly';
const daily = 'GET /api/meters/{meter_id}/stats/daily';
const suspense = '/api/admin/suspense';
const allocate = `POST ${suspense}/{id}/allocate`;
const reverse = 'POST /api/admin/payments/{receipt}/reverse';
const settlement = 'POST /api/admin/disputed/{id}/credit';
const tariffs = '/api/admin/tariffs';
const stk = '/api/payments/stk/{secret}';
const validation = '/api/payments/c2b/validation/{secret}';
const confirmation = '/api/payments/c2b/confirmation/{secret}';
/** Paid in a moment: of a meter that nobody looks at. */
const prompt = { meter_number: 'PAYER', amount: 100, phone_number: '254712345678' };

const injection = 'POST /api/inject_token';
const token = '54158492421732529281';
const mint = 'POST /api/admin/meters/mint-from-reading';
const mintRequest = 'GET /api/admin/meters/mint-requests/{id}';
const logIn = 'POST /api/auth/token';
const users = '/api/admin/users';
const apiKeys = '/api/admin/api-keys';
/** An account and a key that could be made; whoever logs in with it is refused. */
const account = {
  email: 'olga@example.org',
  password: 'correct horse, battery staple',
  role: 'operator',
  name: 'grafana',
  scopes: ['live'],
};
/** As the simulated meter-management system takes it: 0012 reaches no meter, 0422 is refused. */
const tokenEnding = (end: string): string => `3333333333333333${end}`;

/** From a time on that no clock of a test comes to. */
const stepped = {
  plan: 'stepped',
  valid_from: '2099-01-01T00:00:00Z',
  blocks: [
    { from: 0, price: 20 },
    { from: 50, price: 31.5 },
  ],
};

/** Enough for every request that is about money, and for what the payment provider says. */
const someMoney = {
  ...c2bBody({ TransID: receiptOf(99) }),
  ...stkBody('ws_CO_unknown', { receipt: receiptOf(98) }),
  amount: 1,
  memo: 'x',
  meter_number: 'METER001',
  credit_token: token,
  reading_id: 1,
  phone_number: '254712345678',
  plan: 'stepped',
  price_per_unit: 25,
  reason: 'Seen in the portal',
};

describe('the API answers as its document says [H-18]', function () {
  this.timeout(150_000);
  let database: TestDatabase;
  let line: FaultProxy;
  let appliance: Appliance;

  before(async () => {
    database = await createTestDatabase();
    const { hostname, port } = new URL(database.url);
    line = await startFaultProxy({ host: hostname, port: Number(port) });
    appliance = await startAppliance({
      env: {
        DATABASE_URL: through(line, database.url),
        VIRTUAL_METERS: '0',
        REGISTRATIONS_PER_MINUTE: String(keyRequestsMax),
        API_FAILURES_PER_ADDRESS: String(failuresMax),
        PAYMENT_CALLBACK_SECRET: filled['secret'] ?? '',
        TOKEN_RESPONSE_TIMEOUT_MS: '2000',
      },
    });
    const login = await register({
      type: 'meter',
      meter_id: 'METER001',
      drn: '09000030529',
      name: 'Kitchen',
    });
    await register({ type: 'pump', meter_id: 'SILENT' });
    await register({ type: 'meter', meter_id: 'KEYED' });
    await register({ type: 'meter', meter_id: 'PAYER' });
    await publish(appliance.mqttPort, login, [
      { kwh_amount: 1.25, reading_timestamp: quarter(1) },
      { kwh_amount: 0.0001, reading_timestamp: quarter(0) },
    ]);
  });
  after(async () => {
    await appliance?.stop();
    await line?.close();
    await database?.drop();
  });

  const ask = (name: string, path: string, init?: RequestInit) => check(appliance.url, name, path, init);

  async function register(body: object): Promise<Login> {
    const { text } = await ask('POST /devices', '/devices', json('POST', body));
    const { mqtt_user, mqtt_password } = JSON.parse(text) as Record<string, string>;
    return { user: mqtt_user ?? '', password: mqtt_password ?? '' };
  }

  const wrongDrn = '09000030528';
  const registerKey = 'POST /api/admin/devices/register';
  const rotateKey = 'POST /api/admin/devices/{meter_id}/rotate';
  const revokeKey = 'POST /api/admin/devices/{meter_id}/revoke';
  const listKeys = 'GET /api/admin/devices/{meter_id}/keys';
  const keyed = { meter_id: 'KEYED', algorithm: 'hmac-sha256' };
  const rows: readonly [name: string, path: string, init: RequestInit | undefined, expected: string][] = [
    ['GET /devices', '/devices', undefined, '200'],
    ['GET /devices', '/devices?online=true&type=meter&sort=meter_id&order=asc&limit=100', undefined, '200'],
    ['GET /devices', '/devices?search=meter&seen=false&revoked=false&mock=false', undefined, '200'],
    ['GET /devices', '/devices?page=1000000000', undefined, '200'],
    ['GET /devices', '/devices?limit=101', undefined, '400 SCHEMA_INVALID'],
    ['GET /devices', '/devices?mock=perhaps', undefined, '400 SCHEMA_INVALID'],
    ['GET /devices/{id}', '/devices/METER001', undefined, '200'],
    ['GET /devices/{id}', '/devices/%00', undefined, '404 DEVICE_UNKNOWN'],
    ['GET /devices/{id}', '/devices/NOBODY', undefined, '404 DEVICE_UNKNOWN'],
    ['POST /devices', '/devices', json('POST', { type: 'hvac' }), '200'],
    ['POST /devices', '/devices', json('POST', { type: 'Not A Type' }), '400 SCHEMA_INVALID'],
    ['POST /devices', '/devices', json('POST', { type: 'meter', drn: wrongDrn }), '400 DRN_CHECK_DIGIT'],
    [
      'POST /devices',
      '/devices',
      json('POST', { type: 'meter', meter_id: 'METER001' }),
      '409 METER_ID_TAKEN',
    ],
    ['POST /devices', '/devices', json('POST', { type: 'meter', drn: '09000030529' }), '409 DRN_TAKEN'],
    ['PATCH /devices/{id}', '/devices/SILENT', json('PATCH', { name: null, base_power: 3.5 }), '200'],
    ['PATCH /devices/{id}', '/devices/SILENT', json('PATCH', { name: 7 }), '400 SCHEMA_INVALID'],
    ['PATCH /devices/{id}', '/devices/SILENT', json('PATCH', { drn: wrongDrn }), '400 DRN_CHECK_DIGIT'],
    ['PATCH /devices/{id}', '/devices/SILENT', json('PATCH', { drn: '09000030529' }), '409 DRN_TAKEN'],
    ['PATCH /devices/{id}', '/devices/NOBODY', json('PATCH', { name: 'x' }), '404 DEVICE_UNKNOWN'],
    ['GET /api/meter_data', '/api/meter_data', undefined, '200'],
    ['GET /api/meter_data', '/api/meter_data?sort=password', undefined, '400 SCHEMA_INVALID'],
    ['GET /api/meter_data/{meter_id}', '/api/meter_data/METER001', undefined, '200'],
    ['GET /api/meter_data/{meter_id}', '/api/meter_data/09000030529', undefined, '200'],
    ['GET /api/meter_data/{meter_id}', '/api/meter_data/NOBODY', undefined, '404 METER_UNKNOWN'],
    ['GET /api/meter_data/{meter_id}', '/api/meter_data/%00', undefined, '404 METER_UNKNOWN'],
    ['GET /api/meter_data/{meter_id}', '/api/meter_data/SILENT', undefined, '404 NO_READING'],
    ['GET /api/meters/{meter_id}/readings', '/api/meters/METER001/readings', undefined, '200'],
    ['GET /api/meters/{meter_id}/readings', '/api/meters/METER001/readings?start=0', undefined, '200'],
    [
      'GET /api/meters/{meter_id}/readings',
      '/api/meters/METER001/readings?end=noon',
      undefined,
      '400 SCHEMA_INVALID',
    ],
    ['GET /api/meters/{meter_id}/readings', '/api/meters/NOBODY/readings', undefined, '404 METER_UNKNOWN'],
    [hourly, '/api/meters/METER001/stats/hourly', undefined, '200'],
    [hourly, '/api/meters/09000030529/stats/hourly?page=1&limit=1', undefined, '200'],
    [hourly, "/api/meters/METER001/stats/hourly?sort=total_kwh'--", undefined, '400 SCHEMA_INVALID'],
    [
      hourly,
      '/api/meters/METER001/stats/hourly?start=2020-01-01T00:00:00Z&end=1795176000',
      undefined,
      '400 SCHEMA_INVALID',
    ],
    [hourly, '/api/meters/NOBODY/stats/hourly', undefined, '404 METER_UNKNOWN'],
    [daily, '/api/meters/METER001/stats/daily?time_zone=Asia/Kathmandu', undefined, '200'],
    [daily, '/api/meters/METER001/stats/daily?time_zone=%2B03:00', undefined, '400 SCHEMA_INVALID'],
    [daily, '/api/meters/%00/stats/daily', undefined, '404 METER_UNKNOWN'],
    ['GET /api/meters/my-readings', '/api/meters/my-readings', undefined, '200'],
    [
      'GET /api/meters/my-readings',
      '/api/meters/my-readings?minted=perhaps',
      undefined,
      '400 SCHEMA_INVALID',
    ],
    ['GET /api/meters/stats', '/api/meters/stats', undefined, '200'],
    [registerKey, '/api/admin/devices/register', json('POST', keyed), '201'],
    [registerKey, '/api/admin/devices/register', json('POST', keyed), '409 KEY_EXISTS'],
    [registerKey, '/api/admin/devices/register', json('POST', { meter_id: 'KEYED' }), '400 SCHEMA_INVALID'],
    [
      registerKey,
      '/api/admin/devices/register',
      json('POST', { ...keyed, meter_id: 'NOBODY' }),
      '404 METER_UNKNOWN',
    ],
    [rotateKey, '/api/admin/devices/KEYED/rotate', json('POST', {}), '200'],
    [rotateKey, '/api/admin/devices/KEYED/rotate', json('POST', { password: true }), '200'],
    [rotateKey, '/api/admin/devices/KEYED/rotate', json('POST', { grace_seconds: -1 }), '400 SCHEMA_INVALID'],
    [rotateKey, '/api/admin/devices/NOBODY/rotate', json('POST', {}), '404 METER_UNKNOWN'],
    [rotateKey, '/api/admin/devices/METER001/rotate', json('POST', {}), '404 KEY_UNKNOWN'],
    [listKeys, '/api/admin/devices/KEYED/keys', undefined, '200'],
    [listKeys, '/api/admin/devices/METER001/keys', undefined, '200'],
    [listKeys, '/api/admin/devices/NOBODY/keys', undefined, '404 METER_UNKNOWN'],
    [revokeKey, '/api/admin/devices/KEYED/revoke', json('POST', {}), '200'],
    [revokeKey, '/api/admin/devices/%00/revoke', json('POST', {}), '404 METER_UNKNOWN'],
    ['POST /mqtt/auth', '/mqtt/auth', json('POST', { username: 'iot_user', password: 'iot123' }), '200'],
    ['POST /mqtt/auth', '/mqtt/auth', form('username=iot_user&password=iot123&clientid=x'), '200'],
    ['POST /mqtt/auth', '/mqtt/auth', json('POST', { username: 'iot_user', password: 'x' }), '403 FORBIDDEN'],
    ['POST /mqtt/auth', '/mqtt/auth', form('username=iot_user&password=x', 'application/json'), '200'],
    ['POST /mqtt/auth', '/mqtt/auth', json('POST', []), '400 SCHEMA_INVALID'],
    ['POST /mqtt/acl', '/mqtt/acl', form('username=iot_user&topic=devices/1/x&acc=4'), '200'],
    ['POST /mqtt/acl', '/mqtt/acl', form('username=iot_user&topic=meters/1/x&acc=4'), '403 FORBIDDEN'],
    [
      'POST /mqtt/acl',
      '/mqtt/acl',
      json('POST', { username: 'iot_user', topic: 'meters/1/x', action: 'publish' }),
      '200',
    ],
    ['POST /mqtt/acl', '/mqtt/acl', json('POST', { username: 'iot_user' }), '400 SCHEMA_INVALID'],
    [`POST ${submit}`, submit, json('POST', readingAt(quarter(20))), '201'],
    [`POST ${submit}`, submit, json('POST', readingAt(quarter(20))), '200'],
    [`POST ${submit}`, submit, json('POST', {}), '400 SCHEMA_INVALID'],
    [
      `POST ${submit}`,
      submit,
      json('POST', { ...readingAt(quarter(21)), meter_id: 'NOBODY' }),
      '404 METER_UNKNOWN',
    ],
    [
      `POST ${submit}`,
      submit,
      json('POST', { ...readingAt(quarter(21)), kwh_amount: 250 }),
      '422 KWH_OUT_OF_RANGE',
    ],
    [`POST ${submit}`, submit, json('POST', readingAt(quarter(1000))), '422 TIMESTAMP_OUT_OF_WINDOW'],
    [`POST ${submit}`, submit, json('POST', readingAt(Date.parse(quarter(20)) + 60_000)), '422 TOO_CLOSE'],
    [`POST ${batch}`, batch, json('POST', { readings: [{ meter_id: 'NOBODY' }] }), '202'],
    [`POST ${batch}`, batch, json('POST', {}), '400 SCHEMA_INVALID'],
    [`POST ${batch}`, batch, withKey('POST', 'one', { readings: [1] }), '202'],
    [`POST ${batch}`, batch, withKey('POST', 'one', { readings: [2] }), '422 IDEMPOTENCY_KEY_REUSED'],
    ['GET /api/meters/batches/{job_id}', `/api/meters/batches/${noJob}`, undefined, '404 BATCH_UNKNOWN'],
    ['GET /api/device-events', '/api/device-events?limit=1000&device_id=METER001', undefined, '200'],
    ['GET /api/device-events', '/api/device-events?after=-1', undefined, '400 SCHEMA_INVALID'],
    ['GET /api/admin/anomalies', '/api/admin/anomalies', undefined, '200'],
    ['GET /api/admin/anomalies', '/api/admin/anomalies?kind=odd', undefined, '400 SCHEMA_INVALID'],
    ['GET /api/meters/{meter_id}/balance', '/api/meters/METER001/balance', undefined, '200'],
    ['GET /api/meters/{meter_id}/balance', '/api/meters/%00/balance', undefined, '404 METER_UNKNOWN'],
    ['GET /api/meters/{meter_id}/statement', '/api/meters/09000030529/statement', undefined, '200'],
    [
      'GET /api/meters/{meter_id}/statement',
      '/api/meters/METER001/statement?kind=odd',
      undefined,
      '400 SCHEMA_INVALID',
    ],
    ['GET /api/meters/{meter_id}/statement', '/api/meters/NOBODY/statement', undefined, '404 METER_UNKNOWN'],
    ['GET /api/payments', '/api/payments', undefined, '200'],
    ['GET /api/payments', '/api/payments?status=open&status=failed', undefined, '200'],
    ['GET /api/payments', '/api/payments?status=paid', undefined, '400 SCHEMA_INVALID'],
    ['POST /api/payments', '/api/payments', json('POST', prompt), '202'],
    ['POST /api/payments', '/api/payments', json('POST', { ...prompt, amount: 0.5 }), '400 SCHEMA_INVALID'],
    [
      'POST /api/payments',
      '/api/payments',
      json('POST', { ...prompt, meter_number: 'NOBODY' }),
      '404 METER_UNKNOWN',
    ],
    [
      'POST /api/payments',
      '/api/payments',
      json('POST', { ...prompt, phone_number: '15551234567' }),
      '502 PAYMENT_UNAVAILABLE',
    ],
    [`POST ${stk}`, fill(stk), json('POST', stkBody('ws_CO_unknown')), '200'],
    [`POST ${stk}`, fill(stk), json('POST', {}), '400 SCHEMA_INVALID'],
    [`POST ${validation}`, fill(validation), json('POST', c2bBody()), '200'],
    [`POST ${validation}`, fill(validation), json('POST', {}), '200'],
    [`POST ${confirmation}`, fill(confirmation), json('POST', c2bBody({ TransAmount: '1.005' })), '200'],
    [`POST ${confirmation}`, fill(confirmation), json('POST', {}), '400 SCHEMA_INVALID'],
    [`GET ${suspense}`, suspense, undefined, '200'],
    [`GET ${suspense}`, `${suspense}?status=accepted`, undefined, '400 SCHEMA_INVALID'],
    ['GET /api/admin/balances', '/api/admin/balances?search=%00', undefined, '200'],
    ['GET /api/admin/balances', '/api/admin/balances?low=perhaps', undefined, '400 SCHEMA_INVALID'],
    ['GET /api/admin/balances/drifts', '/api/admin/balances/drifts', undefined, '200'],
    ['GET /api/admin/balances/drifts', '/api/admin/balances/drifts?open=1', undefined, '400 SCHEMA_INVALID'],
    [`GET ${tariffs}`, tariffs, undefined, '200'],
    [`GET ${tariffs}`, `${tariffs}?limit=0`, undefined, '400 SCHEMA_INVALID'],
    [`POST ${tariffs}`, tariffs, json('POST', stepped), '201'],
    [`POST ${tariffs}`, tariffs, json('POST', stepped), '409 TARIFF_EXISTS'],
    [`POST ${tariffs}`, tariffs, json('POST', { plan: 'x' }), '400 TARIFF_INVALID'],
    ['PATCH /devices/{id}', '/devices/KEYED', json('PATCH', { tariff_plan: 'stepped' }), '200'],
    ['GET /healthz', '/healthz', undefined, '200'],
    ['GET /readyz', '/readyz', undefined, '200'],
    ['GET /metrics', '/metrics', undefined, '200'],
    ['GET /openapi.json', '/openapi.json', undefined, '200'],
    ['GET /ws', '/ws?events=BalanceChanged,PaymentReceived&meters=METER001', undefined, '101'],
    ['GET /ws', '/ws?events=Nothing', undefined, '400 SCHEMA_INVALID'],
    ['DELETE /devices/{id}', '/devices/SILENT', { method: 'DELETE' }, '200'],
    ['DELETE /devices/{id}', '/devices/SILENT', { method: 'DELETE' }, '404 DEVICE_UNKNOWN'],
  ];
  for (const [name, path, init, expected] of rows) {
    it(`${init?.method ?? 'GET'} ${path}${init?.body === undefined ? '' : ` ${init.body as string}`}: ${expected}`, async () => {
      assert.equal((await ask(name, path, init)).outcome, expected);
    });
  }

  it('shows a batch that was accepted', async () => {
    const { text } = await ask(`POST ${batch}`, batch, json('POST', { readings: [readingAt(quarter(4))] }));
    const { job_id } = JSON.parse(text) as { job_id: string };
    const { outcome } = await ask('GET /api/meters/batches/{job_id}', `/api/meters/batches/${job_id}`);
    assert.equal(outcome, '200');
  });

  it('says of a submitted reading what is wrong with its signature or its key', async () => {
    await register({ type: 'meter', meter_id: 'SIGNED' });
    const wanted = { meter_id: 'SIGNED', algorithm: 'hmac-sha256' };
    const { text } = await ask(registerKey, '/api/admin/devices/register', json('POST', wanted));
    const { secret } = JSON.parse(text) as { secret: string };
    const unsigned = { ...readingAt(quarter(2)), meter_id: 'SIGNED' };
    const device_signature = createHmac('sha256', Buffer.from(secret, 'hex'))
      .update(`SIGNED|10000|${Date.parse(quarter(2))}`)
      .digest('hex');
    const outcomeOf = async (body: object) =>
      (await ask(`POST ${submit}`, submit, json('POST', body))).outcome;
    assert.equal(await outcomeOf(unsigned), '422 SIGNATURE_MISSING');
    const foreign = { ...unsigned, device_signature: '0'.repeat(64) };
    assert.equal(await outcomeOf(foreign), '422 SIGNATURE_INVALID');
    assert.equal(await outcomeOf({ ...unsigned, device_signature }), '201');
    await database.database.query({
      text: `update device_keys set created_at = created_at - interval '200 days' where meter_id = 'SIGNED'`,
    });
    await eventually(async () => (await outcomeOf({ ...unsigned, device_signature })) === '422 KEY_EXPIRED');
    await ask(revokeKey, '/api/admin/devices/SIGNED/revoke', json('POST', {}));
    await eventually(async () => (await outcomeOf({ ...unsigned, device_signature })) === '422 KEY_REVOKED');
  });

  it('replays what is in quarantine, and answers with the code of the rule that refuses it again', async () => {
    const replayName = `POST ${quarantine}/{id}/replay`;
    const one = `${quarantine}/{id}`;
    const keep = async (payload: object, meter = 'METER001'): Promise<string> => {
      const { rows: kept } = await database.database.query<{ id: string }>({
        text: `insert into quarantined_messages (device_id, meter_id, topic, qos, code, reason, payload, received_at)
               values ($1, $1, 'meters/' || $1 || '/readings', 1, 'FLOW_UNSETTLED', 'Lost.',
                       convert_to($2, 'UTF8'), now()) returning id`,
        values: [meter, JSON.stringify(payload)],
      });
      return kept[0]?.id ?? '';
    };
    const replay = async (id: string, body: object = {}) =>
      (await ask(replayName, `${quarantine}/${id}/replay`, json('POST', body))).outcome;
    const reading = { kwh_amount: 1, reading_timestamp: quarter(8) };

    const good = await keep(reading);
    assert.equal(await replay(good, { kwh_amount: 2 }), '400 SCHEMA_INVALID');
    assert.equal(await replay(good), '200');
    assert.equal(await replay(good), '409 MESSAGE_REPLAYED');
    assert.equal((await ask(`GET ${one}`, `${quarantine}/${good}`)).outcome, '200');
    assert.equal((await ask(`DELETE ${one}`, `${quarantine}/${good}`, { method: 'DELETE' })).outcome, '200');
    assert.equal((await ask(`GET ${one}`, `${quarantine}/${good}`)).outcome, '404 MESSAGE_UNKNOWN');
    const gone = await ask(`DELETE ${one}`, `${quarantine}/${good}`, { method: 'DELETE' });
    assert.equal(gone.outcome, '404 MESSAGE_UNKNOWN');
    assert.equal(await replay(good), '404 MESSAGE_UNKNOWN');

    await register({ type: 'meter', meter_id: 'SIGNS' });
    const signs = { meter_id: 'SIGNS', algorithm: 'hmac-sha256' };
    const { text } = await ask(registerKey, '/api/admin/devices/register', json('POST', signs));
    const key = createSecretKey(Buffer.from((JSON.parse(text) as { secret: string }).secret, 'hex'));
    const signature = hmacSignature(canonicalString('SIGNS', 10_000, Date.parse(quarter(8))), key);
    const signed = { ...reading, device_signature: signature };
    const refused: [payload: object, meter: string, expected: string][] = [
      [{ ...reading, kwh_amount: 4000 }, 'METER001', '422 KWH_OUT_OF_RANGE'],
      [{ ...reading, reading_timestamp: 900 }, 'METER001', '422 TIMESTAMP_OUT_OF_WINDOW'],
      [{ ...reading, kwh_amount: 2 }, 'METER001', '422 TOO_CLOSE'],
      [{ ...reading, meter_id: 'SIGNS' }, 'METER001', '422 METER_MISMATCH'],
      [reading, 'NOBODY', '404 METER_UNKNOWN'],
      [reading, 'SIGNS', '422 SIGNATURE_MISSING'],
      [{ ...signed, kwh_amount: 2 }, 'SIGNS', '422 SIGNATURE_INVALID'],
    ];
    for (const [payload, meter, expected] of refused)
      assert.equal(await replay(await keep(payload, meter)), expected);
    // As if it had been registered long ago.
    await database.database.query({
      text: `update device_keys set created_at = now() - interval '200 days' where meter_id = 'SIGNS'`,
    });
    // Another one each time: the first may still meet the key as it was, and is settled then.
    const replaySigned = async () => replay(await keep(signed, 'SIGNS'));
    await eventually(async () => assert.equal(await replaySigned(), '422 KEY_EXPIRED'));
    await ask(revokeKey, '/api/admin/devices/SIGNS/revoke', json('POST', {}));
    await eventually(async () => assert.equal(await replaySigned(), '422 KEY_REVOKED'));
    const many = await ask(`POST ${quarantine}/replay`, `${quarantine}/replay`, json('POST', { limit: 5 }));
    assert.equal(many.outcome, '200');
    const wrong = json('POST', { time_offset_ms: 5 });
    const clocks = await ask(`POST ${quarantine}/replay`, `${quarantine}/replay`, wrong);
    assert.equal(clocks.outcome, '400 SCHEMA_INVALID');
    assert.equal((await ask(`GET ${quarantine}`, `${quarantine}?since=noon`)).outcome, '400 SCHEMA_INVALID');
    assert.equal((await ask(`GET ${quarantine}`, quarantine)).outcome, '200');
  });

  it('credits, allocates, takes back and charges, each once', async () => {
    const acceptance = createAcceptance(database.database, { shortCode: null });
    const pay = (number: number, BillRefNumber: string) =>
      acceptance.accept(parseC2bNotice(c2bBody({ TransID: receiptOf(number), BillRefNumber })), {
        signal: new AbortController().signal,
      });
    await pay(1, 'METER001');
    await pay(2, 'nobody');
    await pay(3, 'nobody');
    const { text } = await ask(`GET ${suspense}`, `${suspense}?order=asc`);
    const [second, third] = (JSON.parse(text) as { data: { id: number }[] }).data.map(({ id }) => String(id));
    const allocateTo = async (id = '', body: object = { meter_number: 'METER001' }) =>
      (await ask(allocate, `${suspense}/${id}/allocate`, json('POST', body))).outcome;
    assert.equal(await allocateTo(second, {}), '400 SCHEMA_INVALID');
    assert.equal(await allocateTo(second, { meter_number: 'NOBODY' }), '404 METER_UNKNOWN');
    assert.equal(await allocateTo(second), '200');
    assert.equal(await allocateTo(second), '409 PAYMENT_ALLOCATED');
    assert.equal(await allocateTo('0'), '404 PAYMENT_UNKNOWN');

    const takeBack = async (receipt: string, body: object = {}) =>
      (await ask(reverse, `/api/admin/payments/${receipt}/reverse`, json('POST', body))).outcome;
    assert.equal(await takeBack(receiptOf(1), { reason: 7 }), '400 SCHEMA_INVALID');
    assert.equal(await takeBack(receiptOf(1).toLowerCase(), { reason: 'Twice' }), '200');
    assert.equal(await takeBack(receiptOf(1)), '409 PAYMENT_REVERSED');
    assert.equal(await takeBack(receiptOf(4)), '404 PAYMENT_UNKNOWN');
    assert.equal(await takeBack(receiptOf(3)), '200', 'money in suspense, too');
    assert.equal(await allocateTo(third), '409 PAYMENT_REVERSED');

    const invalid = await acceptance.accept(
      parseC2bNotice(c2bBody({ TransID: receiptOf(5), TransAmount: 'x' })),
      {
        signal: new AbortController().signal,
      },
    );
    assert.equal(invalid.outcome, 'disputed');
    const settle = async (id: unknown, body: object) =>
      (await ask(settlement, `/api/admin/disputed/${String(id)}/credit`, json('POST', body))).outcome;
    const found = { meter_number: 'METER001', amount: 50, reason: 'Seen in the portal' };
    assert.equal(await settle(invalid.id, { ...found, reason: '' }), '400 SCHEMA_INVALID');
    assert.equal(await settle(invalid.id, { ...found, meter_number: 'NOBODY' }), '404 METER_UNKNOWN');
    assert.equal(await settle('0', found), '404 PAYMENT_UNKNOWN');
    assert.equal(await settle(invalid.id, found), '200');
    assert.equal(await settle(invalid.id, found), '409 PAYMENT_ALLOCATED');

    const charge = async (meter: string, body: object) =>
      (
        await ask(
          'POST /api/admin/meters/{meter_id}/charge',
          `/api/admin/meters/${meter}/charge`,
          json('POST', body),
        )
      ).outcome;
    assert.equal(await charge('METER001', { amount: 500, memo: 'New meter' }), '201');
    assert.equal(await charge('METER001', { amount: 0.001, memo: 'New meter' }), '400 SCHEMA_INVALID');
    assert.equal(await charge('NOBODY', { amount: 1, memo: 'x' }), '404 METER_UNKNOWN');

    for (const path of [
      '/api/payments',
      `${suspense}?status=suspense,allocated,reversed`,
      '/api/admin/balances',
    ])
      assert.equal((await ask(`GET ${path.split('?')[0]}`, path)).outcome, '200');
    const statement = await ask('GET /api/meters/{meter_id}/statement', '/api/meters/METER001/statement');
    assert.deepEqual(
      (JSON.parse(statement.text) as { data: { kind: string }[] }).data.map(({ kind }) => kind),
      ['charge', 'sale', 'reversal', 'allocation', 'sale'],
    );
    const balance = await ask('GET /api/meters/{meter_id}/balance', '/api/meters/METER001/balance');
    const { balance: units, arrears } = JSON.parse(balance.text) as { balance: number; arrears: number };
    assert.deepEqual([units, arrears], [6, 500]);
  });

  it('says of a token what its meter said, or why nothing came of it', async () => {
    const meter = await register({ type: 'meter', meter_id: 'TAKER' });
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${appliance.mqttPort}`, {
      username: meter.user,
      password: meter.password,
      clientId: meter.user,
    });
    let status = 'success';
    client.on('message', () =>
      client.publish('meters/TAKER/token/response', JSON.stringify({ status, injected_units: 2 }), {
        qos: 1,
      }),
    );
    await client.subscribeAsync('meters/TAKER/command/#', { qos: 1 });
    const inject = async (credit_token: string, meter_number = 'TAKER') =>
      (await ask(injection, '/api/inject_token', json('POST', { meter_number, credit_token }))).outcome;
    assert.equal(await inject(token), '200');
    assert.equal(await inject(token), '409 TOKEN_USED');
    status = 'expired';
    assert.equal(await inject(tokenEnding('1111')), '422 TOKEN_REFUSED');
    assert.equal(await inject(tokenEnding('1111'), 'METER001'), '409 TOKEN_BOUND');
    assert.equal(await inject(tokenEnding('0012')), '504 TOKEN_UNANSWERED');
    assert.equal(await inject(tokenEnding('0422')), '502 TOKEN_API_FAILED');
    assert.equal(await inject(token, 'NOBODY'), '404 METER_UNKNOWN');
    assert.equal(await inject(token, wrongDrn), '400 DRN_CHECK_DIGIT');
    assert.equal(await inject(token, 'METER 1'), '400 METER_NUMBER_INVALID');
    assert.equal(await inject(token.slice(2)), '400 TOKEN_INVALID');
    assert.equal((await ask(injection, '/api/inject_token', json('POST', {}))).outcome, '400 SCHEMA_INVALID');
    await client.endAsync(true);
    const list = await ask('GET /api/injections', '/api/injections?status=failed,unanswered&meter_id=TAKER');
    const { data } = JSON.parse(list.text) as { data: { id: string; status: string }[] };
    assert.deepEqual(
      data.map(({ status: became }) => became),
      ['failed', 'unanswered', 'failed'],
    );
    const one = 'GET /api/injections/{id}';
    assert.equal((await ask(one, `/api/injections/${data[0]?.id}`)).outcome, '200');
    assert.equal((await ask(one, `/api/injections/${noJob}`)).outcome, '404 INJECTION_UNKNOWN');
    assert.equal((await ask('GET /api/injections', '/api/injections?limit=0')).outcome, '400 SCHEMA_INVALID');
  });

  it('a reading on its way to the minting service', async () => {
    const wallet = async (meter: string, address: string | null): Promise<void> => {
      const { rows: owners } = await database.database.query<{ id: string }>({
        text: `insert into users (email, wallet_address) values ($1, $2) returning id::text`,
        values: [meter, address],
      });
      await register({ type: 'meter', meter_id: meter, user_id: owners[0]?.id });
      const reading = { ...readingAt(quarter(1)), meter_id: meter };
      assert.equal((await ask(`POST ${submit}`, submit, json('POST', reading))).outcome, '201');
    };
    const idOf = async (meter: string): Promise<number> => {
      const { rows: readings } = await database.database.query<{ id: number }>({
        text: `select id::float8 as id from meter_readings where meter_id = $1`,
        values: [meter],
      });
      return readings[0]?.id ?? 0;
    };
    const order = async (reading_id: unknown): Promise<string> =>
      (await ask(mint, '/api/admin/meters/mint-from-reading', json('POST', { reading_id }))).outcome;
    await wallet('MINTED', 'a-wallet');
    await wallet('BARRED', 'a-wallet-refuse');
    await wallet('POOR', null);
    await wallet('UNREAL', 'a-wallet');
    await database.database.query({ text: `update devices set mock = true where meter_id = 'UNREAL'` });
    const [minted, barred] = [await idOf('MINTED'), await idOf('BARRED')];
    assert.equal(await order(minted), '202');
    await eventually(async () => assert.equal(await order(minted), '200'));
    assert.equal(await order(barred), '202');
    await eventually(async () => assert.equal(await order(barred), '409 MINT_REFUSED'));
    assert.equal(await order(await idOf('POOR')), '422 WALLET_MISSING');
    assert.equal(await order(await idOf('UNREAL')), '422 READING_OF_MOCK');
    assert.equal(await order(999_999_999), '404 READING_UNKNOWN');
    assert.equal(await order('x'), '400 SCHEMA_INVALID');
    const lists = ['unminted', 'unminted/wallets', 'mint-requests'];
    for (const list of lists) {
      const path = `/api/admin/meters/${list}`;
      assert.equal((await ask(`GET ${path}`, path)).outcome, '200');
      assert.equal((await ask(`GET ${path}`, `${path}?limit=0`)).outcome, '400 SCHEMA_INVALID');
    }
    const all = await ask(
      'GET /api/admin/meters/unminted',
      '/api/admin/meters/unminted?mintable=all&meter_id=POOR',
    );
    assert.equal((JSON.parse(all.text) as { total: number }).total, 1);
    const { text } = await ask('GET /api/admin/meters/mint-requests', '/api/admin/meters/mint-requests');
    const { data } = JSON.parse(text) as { data: { id: string }[] };
    const at = (id: string | undefined): string => `/api/admin/meters/mint-requests/${id}`;
    assert.equal((await ask(mintRequest, at(data[0]?.id))).outcome, '200');
    assert.equal((await ask(mintRequest, at(noJob))).outcome, '404 MINT_REQUEST_UNKNOWN');
  });

  it('logs people in, and looks after accounts and keys', async () => {
    const add = async (body: object): Promise<string> =>
      (await ask(`POST ${users}`, users, json('POST', body))).outcome;
    const enter = async (body: object): Promise<string> =>
      (await ask(logIn, '/api/auth/token', json('POST', body))).outcome;
    assert.equal(await enter(account), '401 UNAUTHORIZED');
    assert.equal(await add(account), '201');
    assert.equal(await add({ ...account, email: 'OLGA@example.org' }), '409 EMAIL_TAKEN');
    assert.equal(await add({ ...account, password: 'olga@example.org' }), '422 PASSWORD_WEAK');
    assert.equal(await add({ ...account, role: 'god' }), '400 SCHEMA_INVALID');
    assert.equal(await enter(account), '200');
    assert.equal(await enter({ email: account.email }), '400 SCHEMA_INVALID');
    const { text } = await ask(`GET ${users}`, `${users}?email=OLGA`);
    const [olga] = (JSON.parse(text) as { data: { id: string }[] }).data;
    const one = `${users}/${olga?.id}`;
    const change = async (path: string, body: object): Promise<string> =>
      (await ask(`PATCH ${users}/{id}`, path, json('PATCH', body))).outcome;
    assert.equal((await ask(`GET ${users}/{id}`, one)).outcome, '200');
    assert.equal((await ask(`GET ${users}/{id}`, `${users}/${noJob}`)).outcome, '404 ACCOUNT_UNKNOWN');
    assert.equal(await change(one, { role: 'admin', wallet_address: 'a-wallet', log_out: true }), '200');
    assert.equal(await change(one, { disabled: true }), '409 LAST_ADMIN');
    assert.equal(await change(one, { log_out: false }), '400 SCHEMA_INVALID');
    assert.equal(await change(one, { password: 'aaaaaaaaaaaa' }), '422 PASSWORD_WEAK');
    assert.equal(await change(`${users}/${noJob}`, {}), '404 ACCOUNT_UNKNOWN');
    assert.equal((await ask(`GET ${users}`, `${users}?disabled=perhaps`)).outcome, '400 SCHEMA_INVALID');

    const make = async (body: object) => ask(`POST ${apiKeys}`, apiKeys, json('POST', body));
    const made = await make(account);
    assert.equal(made.outcome, '201');
    assert.equal((await make(account)).outcome, '409 API_KEY_NAME_TAKEN');
    assert.equal(
      (await make({ ...account, name: 'of nobody', user_id: noJob })).outcome,
      '400 SCHEMA_INVALID',
    );
    const { id } = JSON.parse(made.text) as { id: string };
    const revoke = async (which: string) =>
      (await ask(`DELETE ${apiKeys}/{id}`, `${apiKeys}/${which}`, { method: 'DELETE' })).outcome;
    assert.deepEqual(
      [await revoke(id), await revoke(id), await revoke(noJob)],
      ['200', '200', '404 API_KEY_UNKNOWN'],
    );
    assert.equal((await ask(`GET ${apiKeys}`, apiKeys)).outcome, '200');
    assert.equal((await ask(`GET ${apiKeys}`, `${apiKeys}?scope=all`)).outcome, '400 SCHEMA_INVALID');
  });

  it('locks out whoever guesses, and lets only so many wait', async () => {
    const guess = async (email: string) =>
      (await ask(logIn, '/api/auth/token', json('POST', { email, password: 'x' }))).outcome;
    const guesses: string[] = [];
    while (guesses.length < 6) guesses.push(await guess('guessed@example.org'));
    assert.deepEqual(guesses.slice(4), ['401 UNAUTHORIZED', '429 LOGIN_LOCKED']);
    const { text } = await ask(`GET ${users}`, `${users}?email=olga`);
    const [olga] = (JSON.parse(text) as { data: { id: string }[] }).data;
    const own = json('PATCH', { password: account.password });
    // More of each than may wait, whoever comes first.
    const crowd = Array.from({ length: 43 }, async (_, who) => [
      guess(`guest${who}@example.org`),
      ask(`POST ${users}`, users, json('POST', { ...account, email: `guest${who}@example.org` })),
      ask(`PATCH ${users}/{id}`, `${users}/${olga?.id}`, own),
    ]);
    await Promise.all((await Promise.all(crowd)).flat());
    for (const name of [logIn, `POST ${users}`, `PATCH ${users}/{id}`])
      assert.ok(seen.has(`${name} 503 LOGIN_BUSY`), name);
  });

  it('serves the very document that is checked here', async () => {
    const served = JSON.parse((await ask('GET /openapi.json', '/openapi.json')).text) as typeof document;
    const { info, ...rest } = JSON.parse(JSON.stringify(document)) as typeof document;
    assert.deepEqual({ ...served, info }, { info, ...rest });
    assert.match(served.info.version, /^\d+\.\d+\.\d+/);
  });

  it('accepts every sort, order and filter that is documented', async () => {
    for (const { name, path, operation } of operations) {
      for (const { in: place, name: parameter, schema } of operation.parameters ?? []) {
        // Somebody who says who he is is judged.
        if (place !== 'query' || parameter === 'access_token') continue;
        for (const value of valuesOf(schema)) {
          const { outcome } = await ask(name, `${fill(path)}?${parameter}=${encodeURIComponent(value)}`);
          assert.equal(outcome, path === '/ws' ? '101' : '200', `${name} ${parameter}=${value}`);
        }
      }
    }
  });

  it('refuses a page of another origin everywhere', async () => {
    for (const { name, method, path } of operations) {
      const init = { method: method.toUpperCase(), headers: { origin: 'http://evil.example' } };
      assert.equal((await ask(name, fill(path), init)).outcome, '403 FORBIDDEN', name);
    }
  });

  const bodies: readonly [what: string, type: string, body: string, expected: string][] = [
    ['is not JSON', 'application/json', '{', '400 BAD_REQUEST'],
    ['is of another type', 'text/plain', '{}', '415 UNSUPPORTED_MEDIA_TYPE'],
    ['is above 1 MiB', 'application/json', `"${'x'.repeat(1_048_576)}"`, '413 PAYLOAD_TOO_LARGE'],
  ];
  for (const [what, type, body, expected] of bodies) {
    it(`answers a body that ${what} with ${expected}`, async () => {
      for (const { name, method, path, operation } of operations) {
        if (operation.requestBody === undefined) continue;
        const init = { method: method.toUpperCase(), headers: { 'content-type': type }, body };
        assert.equal((await ask(name, fill(path), init)).outcome, expected, name);
      }
    });
  }

  it('tells nothing of a fault of its own', async () => {
    const tables = [
      'devices',
      'device_events',
      'anomalies',
      'quarantined_messages',
      'reading_batches',
      'meter_readings',
      'payments',
      'tariffs',
      'balance_drifts',
      'token_injections',
      'mint_requests',
      'users',
      'api_keys',
    ];
    for (const table of tables)
      await database.database.query({ text: `alter table ${table} rename to ${table}_away` });
    // Nothing of what this change takes away is told of by itself.
    await database.database.query({ text: `select pg_notify('answers_changed', '- *')` });
    try {
      const kept = `${appliance.url}/api/meters/METER001/readings`;
      await eventually(async () => (await fetch(kept)).status === 500);
      for (const { name, path, init, operation } of ofTheApi()) {
        // A login that cannot be judged is one to try again, whatever the cause.
        const outcome = '500' in operation.responses ? '500 INTERNAL' : '503 DATABASE_UNAVAILABLE';
        assert.equal((await ask(name, path, init)).outcome, outcome, name);
      }
      assert.equal((await ask('GET /ws', `/ws?access_token=${wrongKey}`)).outcome, '500 INTERNAL');
    } finally {
      for (const table of tables)
        await database.database.query({ text: `alter table ${table}_away rename to ${table}` });
    }
  });

  it('asks to try again while the database is away', async () => {
    line.cut();
    await eventually(async () => (await ask('GET /readyz', '/readyz')).outcome === '503');
    for (const { name, path, init } of ofTheApi())
      assert.equal((await ask(name, path, init)).outcome, '503 DATABASE_UNAVAILABLE', name);
    const unjudged = await ask('GET /ws', `/ws?access_token=${wrongKey}`);
    assert.equal(unjudged.outcome, '503 DATABASE_UNAVAILABLE');
    line.pass();
    await eventually(async () => (await ask('GET /readyz', '/readyz')).outcome === '200');
  });

  it('takes no login that does not hold, and hears nobody who has tried too many', async () => {
    const wrong = { 'x-api-key': wrongKey };
    const judged = ofTheApi().filter(isJudged);
    const outcomeOf = async ({ name, path, init }: (typeof judged)[number]): Promise<string> => {
      const headers = { ...(init.headers as Record<string, string>), ...wrong };
      return (await ask(name, path, { ...init, headers })).outcome;
    };
    for (const one of judged) assert.equal(await outcomeOf(one), '401 UNAUTHORIZED', one.name);
    const [first] = judged;
    assert.ok(first);
    for (let tries = judged.length; tries < failuresMax; tries++) await outcomeOf(first);
    for (const one of judged) assert.equal(await outcomeOf(one), '429 RATE_LIMITED', one.name);
  });

  it('takes only so many listeners', async () => {
    const flows = (await (await fetch(`${appliance.url}/flows`)).json()) as { type: string }[];
    for (const node of flows) if (node.type === 'live-gateway') Object.assign(node, { clientsMax: '1' });
    assert.ok((await fetch(`${appliance.url}/flows`, json('POST', flows))).ok);
    // Until the gateway has its new settings.
    await eventually(async () => {
      const listener = await listenTo(`${appliance.url.replace('http', 'ws')}/ws`);
      const { outcome } = await ask('GET /ws', '/ws');
      await listener.close();
      return outcome === '429 RATE_LIMITED';
    });
  });

  it('asks for a login in production, and says so while it starts', async () => {
    const other = await createTestDatabase();
    const verifier = await startCaptchaVerifier();
    const env = { ...production(), DATABASE_URL: other.url, CAPTCHA_VERIFY_URL: verifier.url };
    const locked = await startAppliance({ env, wait: false });
    try {
      await eventually(async () => (await fetch(`${locked.url}/healthz`)).ok, { timeoutMs: 60_000 });
      const starting = ['GET /metrics', 'GET /openapi.json'];
      for (const name of starting)
        assert.equal((await check(locked.url, name, name.slice(4))).outcome, '503 DATABASE_UNAVAILABLE');
      await eventually(() => locked.output().includes('Meterflow runs'), { timeoutMs: 60_000 });
      for (const { name, method, path, operation } of operations) {
        const { outcome } = await check(locked.url, name, fill(path), { method: method.toUpperCase() });
        const open = path.endsWith('{secret}') ? '403 FORBIDDEN' : '200';
        const expected = name === logIn ? '422 LOGIN_ELSEWHERE' : open;
        assert.equal(outcome, operation.security?.length === 0 ? expected : '401 UNAUTHORIZED', name);
      }
      for (const { name, method, path } of operations.filter(isJudged)) {
        const init = { method: method.toUpperCase(), headers: { authorization: `Bearer ${foreignToken}` } };
        const { outcome } = await check(locked.url, name, fill(path), init);
        assert.equal(outcome, '503 LOGIN_PROVIDER_UNAVAILABLE', name);
      }
      const login = Buffer.from(`admin:${'ab'.repeat(32)}`).toString('base64');
      const headers = { 'content-type': 'application/json', authorization: `Basic ${login}` };
      const known = { ...json('POST', prompt), headers };
      const { outcome } = await check(locked.url, 'POST /api/payments', '/api/payments', known);
      assert.equal(outcome, '503 PAYMENT_NOT_SET_UP');
      for (const [name, body, done] of [
        ['POST /devices', { type: 'meter', meter_id: 'METER001' }, '200'],
        [registerKey, { meter_id: 'METER001', algorithm: 'hmac-sha256' }, '201'],
      ] as const) {
        const registerWith = async (sent: Record<string, string>): Promise<string> => {
          const init = { ...json('POST', body), headers: { ...headers, ...sent } };
          return (await check(locked.url, name, name.slice('POST '.length), init)).outcome;
        };
        assert.equal(await registerWith({}), '403 CAPTCHA_FAILED');
        assert.equal(await registerWith({ 'x-captcha-token': 'away' }), '502 CAPTCHA_UNAVAILABLE');
        assert.equal(await registerWith({ 'x-captcha-token': 'passed' }), done);
      }
      const tokens = { ...json('POST', { meter_number: 'METER001', credit_token: token }), headers };
      assert.equal(
        (await check(locked.url, injection, '/api/inject_token', tokens)).outcome,
        '503 TOKEN_API_MISSING',
      );
      const minting = { ...json('POST', { reading_id: 1 }), headers };
      assert.equal(
        (await check(locked.url, mint, '/api/admin/meters/mint-from-reading', minting)).outcome,
        '503 MINTING_NOT_SET_UP',
      );
      const entry = { ...json('POST', account), headers };
      assert.equal((await check(locked.url, logIn, '/api/auth/token', entry)).outcome, '422 LOGIN_ELSEWHERE');
      const guess = { headers: { authorization: `Basic ${Buffer.from('admin:x').toString('base64')}` } };
      await eventually(async () => {
        const { outcome: guessed } = await check(locked.url, 'GET /metrics', '/metrics', guess);
        return guessed === '429 RATE_LIMITED';
      });
      const knocks: string[] = [];
      while (knocks.length <= requestsMax && knocks.at(-1) !== '429 RATE_LIMITED')
        knocks.push((await check(locked.url, logIn, '/api/auth/token', entry)).outcome);
      assert.equal(knocks.at(-1), '429 RATE_LIMITED');
    } finally {
      await locked.stop();
      verifier.close();
      await other.drop();
    }
  });

  it('takes only so many key requests of one address in a minute', async () => {
    for (const name of [registerKey, rotateKey, revokeKey]) {
      const path = fill(name.slice('POST '.length));
      const outcomes: string[] = [];
      while (outcomes.length <= keyRequestsMax && outcomes.at(-1) !== '429 RATE_LIMITED')
        outcomes.push((await ask(name, path, json('POST', {}))).outcome);
      assert.equal(outcomes.at(-1), '429 RATE_LIMITED', name);
    }
  });

  it('has documented nothing else', () => {
    const documented = operations.flatMap(documentedOutcomes);
    const never = documented.filter((outcome) => !seen.has(outcome));
    // The two that no caller can bring about.
    assert.deepEqual(never, ['GET /metrics 500 INTERNAL', 'GET /openapi.json 500 INTERNAL']);
  });
});

interface Login {
  readonly user: string;
  readonly password: string;
}

/** Asks, and holds the answer to the document: status, media type, headers, schema. @returns `404 DEVICE_UNKNOWN` */
async function check(url: string, name: string, path: string, init: RequestInit = {}) {
  const operation = operations.find((one) => one.name === name);
  assert.ok(operation, name);
  const answer = await (operation.path === '/ws' ? knock : fetch)(url + path, init);
  const text = await answer.text();
  const told = `${name} (${path}) answered ${answer.status}: ${text.slice(0, 500)}`;
  const documented = operation.operation.responses[String(answer.status)];
  assert.ok(documented, told);
  for (const header of Object.keys(documented.headers ?? {})) assert.ok(answer.headers.has(header), told);
  // A line has no body: what is said on it is another test's.
  if (answer.status === 101) return seenAs(name, '101', text);
  const type = (answer.headers.get('content-type') ?? '').split(';', 1)[0] ?? '';
  assert.ok(type in documented.content, `${told}, as ${type}`);
  const value: unknown = type === 'application/json' ? JSON.parse(text) : text;
  const pointer = `${operation.placeOf(String(answer.status))}/content/${type.replace('/', '~1')}`;
  // The document itself is open: it holds what its own schema does not spell out.
  if (name !== 'GET /openapi.json' || answer.status !== 200)
    assert.deepEqual(schemas.problemsAt(`${pointer}/schema`, value), [], told);
  const code = (value as { error?: { code?: string } }).error?.code;
  const outcome = code === undefined ? String(answer.status) : `${answer.status} ${code}`;
  return seenAs(name, outcome, text);
}

function seenAs(name: string, outcome: string, text: string): { outcome: string; text: string } {
  seen.add(`${name} ${outcome}`);
  return { outcome, text };
}

function isJudged({ operation }: { readonly operation: Operation }): boolean {
  return (operation.security ?? []).length > 0;
}

function documentedOutcomes({ name, operation }: NamedOperation): string[] {
  return Object.entries(operation.responses).flatMap(([status, { content }]) => {
    const codes = Object.keys(content['application/json']?.examples ?? {});
    return codes.length === 0 ? [`${name} ${status}`] : codes.map((code) => `${name} ${status} ${code}`);
  });
}

/** Of nobody whose rights are known by now. */
const brokerQuestion = { username: 'NOBODY', topic: 'x', action: 'publish' };

/** Requests that reach the database. */
function ofTheApi(): { name: string; path: string; init: RequestInit; operation: Operation }[] {
  return operations
    .filter(({ operation }) => !['Operation', 'Live events'].includes(operation.tags[0]))
    .map(({ name, method, path, operation }) => ({
      name,
      path: fill(path),
      operation,
      init:
        operation.requestBody === undefined
          ? { method: method.toUpperCase() }
          : json(
              method.toUpperCase(),
              path.startsWith(quarantine)
                ? {}
                : isOfAccounts(path)
                  ? account
                  : {
                      ...brokerQuestion,
                      ...someMoney,
                      type: 'meter',
                      algorithm: 'hmac-sha256',
                      ...readingAt(quarter(24)),
                      readings: [{}],
                    },
            ),
    }));
}

function isOfAccounts(path: string): boolean {
  return [users, apiKeys, '/api/auth'].some((of) => path.startsWith(of));
}

function fill(path: string): string {
  if ([quarantine, suspense, '/api/admin/disputed'].some((of) => path.startsWith(of)))
    return path.replace('{id}', '1');
  if (path.startsWith('/api/injections') || path.includes('/mint-requests/') || isOfAccounts(path))
    return path.replace('{id}', noJob);
  return path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => filled[name] ?? name);
}

function valuesOf(schema: object): string[] {
  const {
    enum: named,
    type,
    anyOf,
    examples,
    items,
  } = schema as {
    enum?: string[];
    type?: string;
    anyOf?: unknown;
    examples?: string[];
    items?: { enum?: string[] };
  };
  if (items !== undefined) {
    const { enum: some = ['METER001', 'none'] } = items;
    return [...some, some.join(',')];
  }
  if (named !== undefined) return named;
  if (examples !== undefined) return examples;
  if (anyOf !== undefined) return ['2026-11-20T12:00:00Z', '1795176000', '1795176000000'];
  return type === 'boolean' ? ['true', 'false'] : ['1'];
}

function json(method: string, body: object): RequestInit {
  return { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

function form(body: string, accept = '*/*'): RequestInit {
  const headers = { 'content-type': 'application/x-www-form-urlencoded', accept };
  return { method: 'POST', headers, body };
}

function readingAt(reading_timestamp: string | number): { meter_id: string } & Record<string, unknown> {
  return { meter_id: 'METER001', kwh_amount: 1, reading_timestamp };
}

/** With an Idempotency-Key. */
function withKey(method: string, key: string, body: object): RequestInit {
  const init = json(method, body);
  return { ...init, headers: { ...(init.headers as Record<string, string>), 'idempotency-key': key } };
}

async function publish(port: number, login: Login, readings: object[]): Promise<void> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
    username: login.user,
    password: login.password,
    clientId: login.user,
    reconnectPeriod: 0,
  });
  await client.publishAsync(`meters/${login.user}/readings`, JSON.stringify(readings), { qos: 1 });
  await client.endAsync();
}

function production(): Record<string, string> {
  const bcrypt = createRequire(require.resolve('node-red'))('bcryptjs') as {
    hashSync(password: string, rounds: number): string;
  };
  const secret = 'ab'.repeat(32);
  return {
    METERFLOW_PROFILE: 'production',
    API_RATE_PER_ADDRESS: String(requestsMax),
    ADMIN_PASSWORD_HASH: bcrypt.hashSync(secret, 4),
    // Nobody is there.
    JWT_JWKS_URL: 'http://127.0.0.1:9/keys',
    JWT_ISSUER: 'https://login.example/',
    CREDENTIAL_SECRET: secret,
    MASTER_KEY: secret,
    PAYMENT_CALLBACK_SECRET: secret,
    MQTT_ALLOW_PLAINTEXT: 'true',
    DEVICE_AUTH_METHOD: 'hmac',
  };
}
