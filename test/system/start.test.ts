import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startAppliance } from '../support/appliance.js';
import type { Appliance } from '../support/appliance.js';
import { createTestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';

const quiet = { VIRTUAL_METERS: '0' };
/** Of root's, and none that freePort() hands out. */
const nobodysPort = 1;

describe('npm start', function () {
  this.timeout(120_000);
  /** It waits half a minute for its database: beside everything else here. */
  let unreachable: Promise<string>;

  before(() => {
    unreachable = failure({ DATABASE_URL: `postgres://u:topsecret@127.0.0.1:${nobodysPort}/d` });
    unreachable.catch(() => {});
  });

  describe('on a data folder of its own', () => {
    let dataDir: string;
    let appliance: Appliance;
    let compat: number;

    before(async () => {
      // 0700 of root, when root runs this: the server's own user must get along with it.
      dataDir = mkdtempSync(join(tmpdir(), 'meterflow-system-'));
      compat = await freePort();
      appliance = await startAppliance({ dataDir, env: { ...quiet, HTTP_COMPAT_PORTS: String(compat) } });
    });
    after(async () => {
      await appliance.stop();
      rmSync(dataDir, { recursive: true, force: true });
    });

    it('prints the addresses, and they answer [C-1]', async () => {
      for (const what of ['editor', 'dashboard', 'api', 'api docs', 'mqtt'])
        assert.ok(appliance.output().includes(`"${what}":`), what);
      for (const path of [
        '/',
        '/dashboard',
        '/docs/index.html',
        '/api/meter_data',
        '/healthz',
        '/readyz',
        '/metrics',
      ]) {
        assert.equal((await fetch(`${appliance.url}${path}`)).status, 200, path);
      }
    });

    it('serves the API, and not the editor, on compat ports', async () => {
      assert.equal((await fetch(`http://127.0.0.1:${compat}/api/meter_data`)).status, 200);
      assert.equal((await fetch(`http://127.0.0.1:${compat}/flows`)).status, 404);
    });

    it('answers what it does not know in the one shape', async () => {
      const answer = await fetch(`${appliance.url}/api/nothing`);
      assert.equal(answer.status, 404);
      assert.equal(((await answer.json()) as { error: { code: string } }).error.code, 'NOT_FOUND');
    });

    it('refuses a Host or an Origin of somebody else [S-1]', async () => {
      const refused = await fetch(`${appliance.url}/flows`, { headers: { origin: 'http://evil.example' } });
      assert.equal(refused.status, 403);
      assert.equal(await statusWithHost(appliance.port, 'evil.example'), 403);
      assert.equal(await statusWithHost(appliance.port, 'localhost'), 200);
    });

    it('answers broken JSON as the contract says', async () => {
      const sent = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{' };
      const answer = await fetch(`${appliance.url}/devices`, sent);
      assert.equal(answer.status, 400);
      assert.equal(((await answer.json()) as { error: { code: string } }).error.code, 'BAD_REQUEST');
    });

    it('keeps its secrets to its owner [S-1]', () => {
      const folder = join(dataDir, 'secrets');
      assert.equal(statSync(folder).mode & 0o077, 0);
      for (const name of readdirSync(folder))
        assert.equal(statSync(join(folder, name)).mode & 0o077, 0, name);
    });

    it('names a second start on the same folder', async () => {
      const second = await startAppliance({ dataDir, env: quiet, wait: false });
      assert.equal(await second.waitForExit(), 1);
      assert.match(second.output(), new RegExp(`already running on .* \\(pid ${appliance.pid}\\)`));
    });

    it('stops within 10 s, leaves no process, and finds its data again [C-4]', async () => {
      await register(appliance, 'KEPT-1');
      const family = descendants(appliance.pid);
      assert.ok(family.length > 3);
      const from = performance.now();
      assert.equal(await appliance.stop(), 0);
      assert.ok(performance.now() - from < 10_000);
      await eventually(() => assert.deepEqual(family.filter(isAlive), []));
      appliance = await startAppliance({ dataDir, env: quiet });
      assert.equal((await fetch(`${appliance.url}/devices/KEPT-1`)).status, 200);
    });

    it('comes back after kill -9', async () => {
      await register(appliance, 'KEPT-2');
      const family = descendants(appliance.pid);
      appliance.kill('SIGKILL');
      await appliance.waitForExit();
      appliance = await startAppliance({ dataDir, env: quiet });
      assert.deepEqual(family.filter(isAlive), [], 'what the killed one had left');
      assert.equal((await fetch(`${appliance.url}/devices/KEPT-2`)).status, 200);
    });
  });

  it('uses the PostgreSQL of DATABASE_URL, lets only one embedded broker work on it [C-1], and one MASTER_KEY', async () => {
    const database = await createTestDatabase();
    const { url } = database;
    const appliance = await startAppliance({ env: { ...quiet, DATABASE_URL: url, INSTANCE_ID: 'first' } });
    try {
      await register(appliance, 'OUTSIDE');
      assert.equal(existsSync(join(appliance.dataDir, 'postgresql')), false);
      const second = await startAppliance({ env: { ...quiet, DATABASE_URL: url }, wait: false });
      assert.equal(await second.waitForExit(), 1);
      assert.match(second.output(), /Instance first already runs the embedded broker.*MQTT_BROKER_HOST/);
      await second.stop();
      const env = {
        ...quiet,
        DATABASE_URL: url,
        MQTT_BROKER_HOST: '127.0.0.1',
        MASTER_KEY: '0f'.repeat(32),
      };
      const third = await startAppliance({ env, wait: false });
      assert.equal(await third.waitForExit(), 1);
      assert.match(third.output(), /^This database belongs to another MASTER_KEY: .*\.$/m);
      await third.stop();
    } finally {
      await appliance.stop();
      await database.drop();
    }
  });

  it('runs as a user without rights', async function () {
    if (process.getuid?.() !== 0) {
      // Then every other test here has shown it.
      return;
    }
    const nobody = 65_534;
    const appliance = await startAppliance({ env: quiet, uid: nobody });
    try {
      await register(appliance, 'NOBODY');
      for (const pid of [appliance.pid, ...descendants(appliance.pid)])
        assert.equal(statSync(`/proc/${pid}`).uid, nobody);
    } finally {
      assert.equal(await appliance.stop(), 0);
    }
  });

  describe('on a DATABASE_URL where nobody answers', () => {
    it('waits a while, and says so without the login', async () => {
      const output = await unreachable;
      assert.ok(output.includes(`127.0.0.1:${nobodysPort}`) && !output.includes('topsecret'), output);
    });
  });
});

describe('a start that must fail', function () {
  this.timeout(60_000);

  for (const [what, variable] of [
    ['HTTP', 'PORT'],
    ['MQTT', 'MQTT_BROKER_PORT'],
  ] as const) {
    it(`says in one sentence that the ${what} port is busy, and names ${variable} [C-4]`, async () => {
      const { port, server } = await busyPort();
      const output = await failure({ [variable]: String(port) });
      server.close();
      assert.match(output, new RegExp(`^Port ${port} on 127.0.0.1 is in use .*${variable}.*\\.\n$`));
    });
  }

  it('lists every bad value at once', async () => {
    const output = await failure({
      LOG_LEVEL: 'loud',
      VIRTUAL_METERS: 'many',
      DATABASE_URL: 'sqlite://u:topsecret@x',
    });
    for (const name of ['LOG_LEVEL', 'VIRTUAL_METERS', 'DATABASE_URL'])
      assert.ok(output.includes(`- ${name} is`), name);
    assert.ok(!output.includes('topsecret'));
  });

  it('lists everything that production lacks at once [S-1]', async () => {
    const output = await failure({ METERFLOW_PROFILE: 'production' });
    for (const name of [
      'ADMIN_PASSWORD_HASH',
      'JWT_SECRET',
      'CREDENTIAL_SECRET',
      'MASTER_KEY',
      'PAYMENT_CALLBACK_SECRET',
    ]) {
      assert.ok(output.includes(name), name);
    }
  });

  it('keeps an open demo off the network [S-1]', async () => {
    assert.match(await failure({ HOST: '0.0.0.0' }), /demo profile has no login.*DEMO_ALLOW_NETWORK/);
  });
});

async function failure(env: Record<string, string>): Promise<string> {
  const appliance = await startAppliance({ env, wait: false });
  assert.equal(await appliance.waitForExit(), 1);
  await appliance.stop();
  return appliance.output();
}

async function register(appliance: Appliance, meterId: string): Promise<void> {
  const answer = await fetch(`${appliance.url}/devices`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'meter', meter_id: meterId }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

/** fetch sets Host itself. */
async function statusWithHost(port: number, host: string): Promise<number | undefined> {
  const { get } = await import('node:http');
  return new Promise((resolve, reject) => {
    const request = get({ port, host: '127.0.0.1', path: '/healthz', headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', reject);
  });
}

async function busyPort(): Promise<{ port: number; server: Server }> {
  const port = await freePort();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { port, server };
}

/** Children, their children, and so on. */
function descendants(pid: number): number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [Number(name), parentOf(Number(name))] as const);
  const found = [pid];
  for (const at of found)
    found.push(...parents.filter(([, parent]) => parent === at).map(([child]) => child));
  return found.slice(1);
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  const parent = parentOf(pid);
  return parent !== undefined && !/^State:\s+Z/m.test(statusOf(pid));
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}
