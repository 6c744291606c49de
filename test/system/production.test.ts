import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { WebSocket } from 'ws';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { openBrowser } from '../support/browser.js';
import { createCertificateFolder, type CertificateFolder } from '../support/certificates.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { askOverTls, type EncryptedAnswer, type EncryptedCall } from '../support/https.js';
import { freePort } from '../support/ports.js';

const password = 'a password of a test';
const callbackSecret = 'the-callback-secret-of-this-test';
const operator = { email: 'olga@example.org', password: 'correct horse, battery staple' };
const scripts = join(__dirname, '../../scripts');
const portal = 'https://portal.example';

/** Everything closed, over HTTPS, as somebody runs it. */
describe('npm start in production [S-1]', function () {
  this.timeout(120_000);
  let folder: CertificateFolder;
  let database: TestDatabase;
  let appliance: Appliance;
  let compat: number;
  let url: string;
  let key: string;
  let token: string;

  const administrator = basic('admin', password);
  const ask = (path: string, call: Partial<EncryptedCall> = {}): Promise<EncryptedAnswer> =>
    askOverTls(url + path, { ca: folder.authority.cert, ...call });
  const asAdministrator = (path: string, body?: unknown, method = 'POST'): Promise<EncryptedAnswer> =>
    ask(path, { method, body, headers: { authorization: administrator } });
  const statusOf = async (path: string, call: Partial<EncryptedCall> = {}): Promise<number> =>
    (await ask(path, call)).status;

  before(async () => {
    [folder, database, compat] = await Promise.all([
      createCertificateFolder(),
      createTestDatabase(),
      freePort(),
    ]);
    const bcrypt = createRequire(require.resolve('node-red'))('bcryptjs') as {
      hashSync(text: string, rounds: number): string;
    };
    appliance = await startAppliance({
      env: {
        METERFLOW_PROFILE: 'production',
        ADMIN_PASSWORD_HASH: bcrypt.hashSync(password, 4),
        JWT_SECRET: 'j'.repeat(32),
        CREDENTIAL_SECRET: 'c'.repeat(32),
        MASTER_KEY: 'ab'.repeat(32),
        PAYMENT_CALLBACK_SECRET: callbackSecret,
        MQTT_ALLOW_PLAINTEXT: 'true',
        DATABASE_URL: database.url,
        HTTP_TLS_CERT: folder.certFile,
        HTTP_TLS_KEY: folder.keyFile,
        HTTP_COMPAT_PORTS: String(compat),
        CORS_ORIGINS: portal,
      },
    });
    url = `https://localhost:${appliance.port}`;
    const made = await asAdministrator('/api/admin/users', { ...operator, role: 'operator' });
    assert.equal(made.status, 201, made.text);
    const scopes = { name: 'prometheus', scopes: ['metrics'] };
    key = (JSON.parse((await asAdministrator('/api/admin/api-keys', scopes)).text) as { key: string }).key;
    const login = await ask('/api/auth/token', { method: 'POST', body: operator });
    token = (JSON.parse(login.text) as { access_token: string }).access_token;
  });
  after(async () => {
    await appliance?.stop();
    await database?.drop();
    folder?.remove();
  });

  it('prints addresses of HTTPS, and knows no route without a guard', () => {
    assert.match(appliance.output(), new RegExp(`"editor":"https://127.0.0.1:${appliance.port}/"`));
    assert.doesNotMatch(appliance.output(), /has no api-guard/);
  });

  const bearer = (): Record<string, string> => ({ authorization: `Bearer ${token}` });
  const logins: Readonly<Record<string, () => Record<string, string>>> = {
    nobody: () => ({}),
    'an operator by token': bearer,
    'an operator by password': () => ({ authorization: basic(operator.email, operator.password) }),
    'a wrong password': () => ({ authorization: basic(operator.email, 'something else') }),
    'the administrator': () => ({ authorization: administrator }),
    'a key for the metrics': () => ({ 'x-api-key': key }),
    'a key as password': () => ({ authorization: basic('prometheus', key) }),
  };
  const doors: [path: string, who: keyof typeof logins, status: number][] = [
    ['/healthz', 'nobody', 200],
    ['/readyz', 'nobody', 200],
    ['/docs/index.html', 'nobody', 200],
    ['/openapi.json', 'nobody', 200],
    ['/', 'nobody', 200],
    ['/flows', 'nobody', 401],
    ['/flows', 'the administrator', 401],
    ['/api/meter_data', 'nobody', 401],
    ['/api/meter_data', 'an operator by token', 200],
    ['/api/meter_data', 'an operator by password', 200],
    ['/api/meter_data', 'the administrator', 200],
    ['/api/meter_data', 'a key for the metrics', 403],
    ['/api/admin/users', 'an operator by token', 403],
    ['/metrics', 'nobody', 401],
    ['/metrics', 'an operator by token', 403],
    ['/metrics', 'a key for the metrics', 200],
    ['/metrics', 'a key as password', 200],
    ['/dashboard/', 'nobody', 401],
    ['/dashboard/', 'an operator by token', 200],
    ['/dashboard/', 'an operator by password', 200],
    ['/dashboard/', 'a wrong password', 401],
    ['/dashboard/socket.io/?EIO=4&transport=polling', 'nobody', 401],
    ['/dashboard/socket.io/?EIO=4&transport=polling', 'an operator by token', 200],
    ['/simulators/payment-provider/anything', 'nobody', 401],
  ];
  for (const [path, who, status] of doors)
    it(`answers ${status} at ${path} to ${who}`, async () => {
      assert.equal(await statusOf(path, { headers: logins[who]?.() ?? {} }), status);
    });

  it("takes the payment provider's callbacks by their secret alone", async () => {
    const body = { TransID: 'X', BusinessShortCode: '1', BillRefNumber: 'NOBODY', TransAmount: '10' };
    const validation = (secret: string): Promise<number> =>
      statusOf(`/api/payments/c2b/validation/${secret}`, { method: 'POST', body, headers: theirs });
    // A login of the provider's own is not for us.
    const theirs = { authorization: `Basic ${Buffer.from('provider:theirs').toString('base64')}` };
    assert.deepEqual([await validation(callbackSecret), await validation('guessed-by-somebody')], [200, 403]);
  });

  it('closes a route that somebody adds without a guard, and says so', async () => {
    const login = await ask('/auth/token', {
      method: 'POST',
      body: { client_id: 'node-red-editor', grant_type: 'password', scope: '*', username: 'admin', password },
    });
    const { access_token: editor } = JSON.parse(login.text) as { access_token: string };
    const node = { z: 'bare', x: 0, y: 0, name: '' };
    const flow = {
      id: 'bare',
      label: 'Bare',
      nodes: [
        {
          ...node,
          id: 'bare-in',
          type: 'http in',
          url: '/api/bare/:what',
          method: 'get',
          wires: [['bare-out']],
        },
        { ...node, id: 'bare-out', type: 'http response', wires: [] },
      ],
      configs: [],
    };
    const headers = { authorization: `Bearer ${editor}` };
    const deployed = await ask('/flow', { method: 'POST', body: flow, headers });
    assert.equal(deployed.status, 200, deployed.text);
    await eventually(() => assert.match(appliance.output(), /GET \/api\/bare\/:what has no api-guard/));
    assert.deepEqual(
      [
        await statusOf('/api/bare/door'),
        await statusOf('/api/bare/door', { headers: bearer() }),
        await statusOf('/api/bare/door', { headers: { authorization: administrator } }),
      ],
      [401, 403, 200],
    );
  });

  it('protects every answer by its headers, and lets pages of listed origins read the API', async () => {
    const [page, data, refused] = await Promise.all([
      ask('/', { headers: { host: 'meter.example' } }),
      ask('/api/meter_data', { headers: { ...bearer(), host: 'meter.example', origin: portal } }),
      ask('/api/meter_data', { headers: { origin: 'https://evil.example' } }),
    ]);
    for (const { headers } of [page, data, refused]) {
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers['x-powered-by'], undefined);
      assert.match(String(headers['content-security-policy']), /frame-ancestors '(?:self|none)'/);
    }
    assert.match(page.headers['strict-transport-security'] ?? '', /^max-age=/);
    assert.equal(data.headers['cache-control'], 'no-store');
    assert.equal(data.headers['access-control-allow-origin'], portal);
    assert.equal(refused.headers['access-control-allow-origin'], undefined);
    const preflight = { 'access-control-request-method': 'GET', origin: portal };
    assert.equal(await statusOf('/api/meter_data', { method: 'OPTIONS', headers: preflight }), 204);
  });

  it('serves the API over HTTPS on compat ports', async () => {
    const call = { ca: folder.authority.cert, headers: bearer() };
    assert.equal((await askOverTls(`https://localhost:${compat}/api/meter_data`, call)).status, 200);
    assert.equal((await askOverTls(`https://localhost:${compat}/`, { ...call, headers: {} })).status, 401);
  });

  it('lets listeners in by token, and keeps it to itself [S-3]', async () => {
    const listen = (query: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const ws = new WebSocket(`${url.replace('https', 'wss')}/ws${query}`, { ca: folder.authority.cert });
        ws.once('open', () => (ws.terminate(), resolve(101)));
        ws.once(
          'unexpected-response',
          (_request, { statusCode = 0 }) => (ws.terminate(), resolve(statusCode)),
        );
        ws.once('error', reject);
      });
    assert.deepEqual(
      [await listen(''), await listen('?access_token=a.b.c'), await listen(`?access_token=${token}`)],
      [401, 401, 101],
    );
    assert.equal(await listen(`?access_token=${key}`), 403);
    for (const secret of [token, key, password, operator.password, callbackSecret])
      assert.ok(!appliance.output().includes(secret));
  });

  const trials: [script: string, what: string, args: () => string[], env: () => object, says: RegExp][] = [
    [
      'test-distributed-websocket.sh',
      'tells listeners of signed readings',
      () => [url],
      () => ({ CLIENTS: '5', READINGS: '3' }),
      /5 listeners × 3 readings: 0 missed, 0 doubled/,
    ],
    [
      'test-mqtt-ingestion.sh',
      'stores every signed reading of MQTT once',
      () => [],
      () => ({ BASE_URL: url, MQTT_PORT: String(appliance.mqttPort), METERS: '1', READINGS: '20' }),
      /1 meters are connected .* and sign\n[\s\S]*20 of 20 stored, 0 twice[\s\S]*passed/,
    ],
    [
      'test-batch-api.sh',
      'stores every signed reading of a batch once',
      () => [],
      () => ({ BASE_URL: url, METERS: '1', READINGS: '20' }),
      /20 of 20 stored, 0 twice[\s\S]*passed/,
    ],
    [
      'test-cache-performance.sh',
      'answers from the cache, and never what is old',
      () => [url],
      () => ({ METERS: '1', REQUESTS: '100', CALLERS: '4', WRITES: '3' }),
      /100 questions about 1 meters at 1 instance\(s\): \d\d\.\d % hits[\s\S]*3 writes: 0 old[\s\S]*passed/,
    ],
  ];
  for (const [script, what, args, env, says] of trials)
    it(`${what} (scripts/${script})`, async () => {
      const trust = { NODE_EXTRA_CA_CERTS: folder.caFile, CURL_CA_BUNDLE: folder.caFile };
      const { stdout } = await promisify(execFile)(join(scripts, script), args(), {
        env: { ...process.env, TOKEN: token, ...trust, ...env() },
      });
      assert.match(stdout, says);
    });

  it('knows who is at the dashboard: the audit log names people', async () => {
    const browser = await openBrowser();
    try {
      const context = await browser.newContext({
        ignoreHTTPSErrors: true,
        httpCredentials: { username: operator.email, password: operator.password, send: 'unauthorized' },
      });
      const page = await context.newPage();
      await page.goto(`${url}/dashboard/devices`);
      await page.locator('.mfdl-add').click();
      await page.locator('[data-field="meter_id"]').fill('KIOSK1');
      await page.locator('.mfdf-save').click();
      await page.locator('[data-fact="password"]').waitFor();
      const { rows } = await database.database.query<{ actor: string }>({
        text: `select actor from audit_log where action = 'device.created' and subject in (select id::text from devices where meter_id = 'KIOSK1')`,
      });
      assert.deepEqual(rows, [{ actor: operator.email }]);
      // The page asks the API itself, too.
      const status = await page.evaluate<number>(`fetch('../api/meter_data').then(({ status }) => status)`);
      assert.equal(status, 200);
    } finally {
      await browser.close();
    }
  });
});

function basic(name: string, secret: string): string {
  return `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`;
}
