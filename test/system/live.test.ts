import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { WebSocket } from 'ws';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { openBrowser, openPage } from '../support/browser.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { assertDocumented } from '../support/live-messages.js';
import { startRedis, type RedisServer } from '../support/redis.js';
import { listenTo } from '../live/listener.js';
import { c2bBody } from '../payments/callbacks.js';

const secret = 'the-callback-secret-of-this-test';
const examples = resolve(__dirname, '../../examples/live');
const scripts = resolve(__dirname, '../../scripts');

describe('Two instances of the appliance, one database, one Redis', function () {
  this.timeout(240_000);
  let database: TestDatabase;
  let redis: RedisServer;
  let one: Appliance;
  let other: Appliance;

  before(async () => {
    [database, redis] = await Promise.all([createTestDatabase(), startRedis({ password: 'correct horse' })]);
    const env = {
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      REDIS_PASSWORD: 'correct horse',
      VIRTUAL_METERS: '0',
      MOCK_SYNC: 'off',
    };
    one = await startAppliance({ env });
    other = await startAppliance({
      env: { ...env, MQTT_BROKER_HOST: '127.0.0.1', MQTT_BROKER_PORT: String(one.mqttPort) },
    });
  });
  after(async () => {
    await other?.stop();
    await one?.stop();
    await redis?.remove();
    await database?.drop();
  });

  it('tell 100 listeners of each of every reading, once (scripts/test-distributed-websocket.sh)', async () => {
    const { code, text } = await run('test-distributed-websocket.sh', [one.url, other.url]);
    assert.equal(code, 0, text);
    assert.match(
      text,
      /100 listeners × 20 readings: 0 missed, 0 doubled[\s\S]*100 listeners × 20 readings: 0 missed, 0 doubled/,
    );
  });

  const trials: readonly [script: string, expected: RegExp][] = [
    [
      'test-mqtt-ingestion.sh',
      /1000 readings acknowledged .*\(first\)\n1000 .*\(again\)\nby the API: 1000 of 1000 stored, 0 twice/,
    ],
    [
      'test-batch-api.sh',
      /1000 readings: .* done after .* 1000 stored, 0 refused[\s\S]*by the API: 1000 of 1000 stored, 0 twice/,
    ],
  ];
  for (const [script, expected] of trials) {
    it(`store 1,000 readings of ten meters once (scripts/${script}), and remove the meters`, async () => {
      // The API of one, the broker of the other.
      const env = { BASE_URL: other.url, MQTT_PORT: String(one.mqttPort), SIGN: 'true' };
      const { code, text } = await run(script, [], { ...env, DATABASE_URL: database.url });
      assert.equal(code, 0, text);
      assert.match(text, expected);
      assert.match(text, /in the database: 1000 rows, 1000 different, 50\.0500 kWh\npassed\n$/);
      assert.equal(await trialMeters(one), 0);
    });

    it(`are told when readings are not where they should be (scripts/${script})`, async () => {
      const elsewhere = await createTestDatabase();
      const env = { BASE_URL: one.url, MQTT_PORT: String(one.mqttPort), METERS: '2', READINGS: '4' };
      const { code, text } = await run(script, [], { ...env, DATABASE_URL: elsewhere.url });
      await elsewhere.drop();
      assert.equal(code, 1, text);
      assert.match(text, /by the API: 4 of 4 stored[\s\S]*wrong: the table has 0 rows[\s\S]*FAILED\n$/);
      assert.equal(await trialMeters(one), 0);
    });

    it(`are told at once when nobody answers (scripts/${script})`, async () => {
      const { code, text } = await run(script, [], { BASE_URL: 'http://127.0.0.1:1' });
      assert.equal(code, 1, text);
      assert.match(text, /No Meterflow answers at http:\/\/127\.0\.0\.1:1: npm start/);
    });
  }

  it('keep answers for each other, and none from before a write (scripts/test-cache-performance.sh)', async () => {
    const settings = { METERS: '20', REQUESTS: '400', WRITES: '10' };
    const { code, text } = await run('test-cache-performance.sh', [one.url, other.url], settings);
    assert.equal(code, 0, text);
    assert.match(text, /400 questions about 20 meters at 2 instance\(s\): \d\d\.\d % hits/);
    assert.match(text, /10 writes: 0 old answers afterwards/);
  });

  it('go on by themselves when Redis is killed, and together when it is back', async () => {
    const [here, there] = await Promise.all(
      [one, other].map(({ url }) => listenTo(`${url.replace('http', 'ws')}/ws?meters=METER001`)),
    );
    assert.ok(here && there);
    await post(one, '/devices', { type: 'meter', meter_id: 'METER001' });
    await redis.stop('SIGKILL');
    await post(one, '/api/meters/submit-reading', reading(1));
    await eventually(() => here.told.some(({ data }) => data['kwh_amount'] === 1));
    await redis.start();
    await eventually(
      () => there.told.some(({ event, data }) => event === 'Gap' && data['reason'] === 'relay'),
      { timeoutMs: 30_000 },
    );
    await post(one, '/api/meters/submit-reading', reading(2));
    await eventually(() => there.told.some(({ data }) => data['kwh_amount'] === 2));
    assert.ok(!there.told.some(({ data }) => data['kwh_amount'] === 1));
    assertDocumented(there.told);
    await Promise.all([here.close(), there.close()]);
  });

  it('never name the password of Redis', () => {
    assert.doesNotMatch(one.output() + other.output(), /correct horse/);
    assert.match(one.output(), /Redis is away/);
  });
});

describe('The examples of listeners', function () {
  this.timeout(240_000);
  let house: Appliance;

  before(async () => {
    house = await startAppliance({
      env: { VIRTUAL_METERS: '0', MOCK_SYNC: 'off', PAYMENT_CALLBACK_SECRET: secret },
    });
    await post(house, '/devices', { type: 'meter', meter_id: 'METER001' });
  });
  after(() => house?.stop());

  it('examples/live/page.html: a browser hears, and comes back when it was sent away', async () => {
    const browser = await openBrowser();
    try {
      const page = await openPage(browser, 900, 600);
      const address = `${house.url}/live-page`;
      await servePage(house, '/live-page', readFileSync(join(examples, 'page.html'), 'utf8'));
      await page.goto(address);
      await page.getByText('listening').waitFor();
      await post(house, '/api/meters/submit-reading', reading(1));
      await page.getByText('"kwh_amount":1,').waitFor();
      await changeGateway(house);
      // Sent away, it came back by itself, and says that it cannot know what it missed.
      await page.getByText('"reason":"unknown"').waitFor();
      await post(house, '/api/meters/submit-reading', reading(2));
      await page.getByText('"kwh_amount":2,').waitFor();
    } finally {
      await browser.close();
    }
  });

  it("examples/live/websocket-in.json: Node-RED's own nodes hear", async () => {
    const nodes = (
      JSON.parse(readFileSync(join(examples, 'websocket-in.json'), 'utf8')) as ExampleNode[]
    ).map((node) =>
      node.type === 'websocket-client'
        ? Object.assign(node, { path: node.path?.replace(':1880', `:${house.port}`) })
        : node,
    );
    const [tab] = nodes;
    const configs = nodes.filter(({ type }) => type === 'websocket-client');
    const placed = nodes.filter(({ z }) => z !== undefined);
    await post(house, '/flow', { id: tab?.id, label: tab?.label, nodes: placed, configs });
    const editor = new WebSocket(`${house.url.replace('http', 'ws')}/comms`);
    const shown: string[] = [];
    editor.on('message', (data) => shown.push((data as Buffer).toString()));
    await new Promise((resolved) => editor.once('open', resolved));
    editor.send(JSON.stringify({ subscribe: 'status/#' }));
    await eventually(async () =>
      /^websocket_clients_connected [1-9]/m.test(await (await fetch(`${house.url}/metrics`)).text()),
    );
    await post(house, `/api/payments/c2b/confirmation/${secret}`, c2bBody());
    await eventually(() => shown.some((text) => /status\/6c6976652d646231[^}]*"text":"4"/.test(text)));
    await eventually(() => shown.some((text) => /status\/6c6976652d646232[^}]*"text":"100"/.test(text)));
    editor.terminate();
  });
});

/** Other settings of the gateway: all listeners are sent away. */
async function changeGateway({ url }: Appliance): Promise<void> {
  const flows = (await (await fetch(`${url}/flows`)).json()) as ExampleNode[];
  for (const node of flows) if (node.type === 'live-gateway') Object.assign(node, { clientsMax: '77' });
  await post({ url }, '/flows', flows);
}

/** As the page's own comment recommends. */
async function servePage(house: Appliance, url: string, template: string): Promise<void> {
  const at = { z: 'live-page', x: 0, y: 0 };
  await post(house, '/flow', {
    id: 'live-page',
    label: 'A page',
    nodes: [
      {
        ...at,
        id: 'live-page-in',
        type: 'http in',
        name: '',
        url,
        method: 'get',
        wires: [['live-page-html']],
      },
      {
        ...at,
        id: 'live-page-html',
        type: 'template',
        name: '',
        field: 'payload',
        fieldType: 'msg',
        format: 'html',
        syntax: 'plain',
        template,
        output: 'str',
        wires: [['live-page-out']],
      },
      {
        ...at,
        id: 'live-page-out',
        type: 'http response',
        name: '',
        headers: { 'content-type': 'text/html' },
        wires: [],
      },
    ],
    configs: [],
  });
  await eventually(async () => (await fetch(house.url + url)).ok);
}

interface ExampleNode {
  readonly id: string;
  readonly type: string;
  readonly z?: string;
  readonly label?: string;
  readonly path?: string;
}

function reading(kwh_amount: number): object {
  const length = 900_000;
  const time = new Date(Math.floor(Date.now() / length) * length - kwh_amount * length);
  return { meter_id: 'METER001', kwh_amount, reading_timestamp: time.toISOString() };
}

async function post({ url }: Pick<Appliance, 'url'>, path: string, body: object): Promise<void> {
  const answer = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.text()}`);
}

async function trialMeters({ url }: Appliance): Promise<number> {
  const answer = await fetch(`${url}/devices?search=TRIAL-`);
  return ((await answer.json()) as { total: number }).total;
}

function run(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number; text: string }> {
  return new Promise((settle) => {
    const options = { timeout: 120_000, env: { ...process.env, ...env } };
    execFile(join(scripts, script), [...args], options, (error, out, err) => {
      settle({ code: error === null ? 0 : Number(error.code ?? 1), text: out + err });
    });
  });
}
