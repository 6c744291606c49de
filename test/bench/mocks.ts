import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openDatabase, type Database } from '../../src/database/database.js';
import { generateSecret, hashSecret } from '../../src/devices/credentials.js';
import { mockRatings } from '../../src/mocks/mock-types.js';
import { startChild } from './contestants/child.js';
import type { Running } from './contestants/contestant.js';
import { unsigned } from './contestants/ours.js';
import type { MockCrowd, MocksReport } from './mocks/measured.js';
import { openFilesMax } from './open-files.js';
import { cpuSeconds, memoryMiB } from './process-tree.js';
import { withServer } from './server.js';

interface Lengths {
  readonly seconds: number;
  readonly counts: readonly number[];
  readonly log: (line: string) => void;
}

interface Stage {
  readonly running: Running;
  readonly database: Database;
  readonly databaseUrl: string;
  readonly folder: string;
}

/** Files that a process has open beside its connections. */
const otherFiles = 200;
/** So long may it take until all are online. */
const onlineMs = 300_000;
const types = Object.keys(mockRatings);

/** Mocks as they are played here, and as the usual script plays them, each in a process of its own on the same broker. */
export async function measureMocks({ seconds, counts, log }: Lengths): Promise<MocksReport> {
  const ours: MockCrowd[] = [];
  const peers: MockCrowd[] = [];
  for (const count of counts.map((wanted) => Math.min(wanted, openFilesMax() - otherFiles))) {
    ours.push(await onStage((stage) => playOurs(stage, count, seconds)));
    log(told(ours.at(-1)));
    try {
      peers.push(await onStage((stage) => playPlain(stage, count, seconds)));
      log(told(peers.at(-1)));
    } catch (error) {
      // On a busy machine so many whole clients may not get in at all.
      log(`${count} clients of mqtt.js: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { ours, peers };
}

function onStage<T>(work: (stage: Stage) => Promise<T>): Promise<T> {
  return withServer(async (server, folder) => {
    const place = {
      databaseUrl: server.url,
      folder: join(folder, 'broker'),
      meterIds: [],
      log: () => undefined,
    };
    const running = await unsigned.start(place);
    const database = openDatabase({ url: server.url, connectionsMax: 2, queryTimeoutMs: 60_000 });
    try {
      return await work({ running, database, databaseUrl: server.url, folder });
    } finally {
      await database.close();
      await running.stop();
    }
  });
}

async function playOurs(stage: Stage, count: number, seconds: number): Promise<MockCrowd> {
  await stage.database.query({
    text: `insert into devices (id, meter_id, mqtt_user, type, password_hash)
           select 'real-' || n, 'real-' || n, 'real-' || n, ($2::text[])[1 + n % cardinality($2::text[])], '\\x00'
             from generate_series(1, $1::int) n`,
    values: [count, types],
  });
  const ours = { name: 'meterflow', file: resolve(__dirname, 'mocks/our-world.ts'), count };
  const more = { BENCH_DATABASE_URL: stage.databaseUrl };
  // The first start makes the mocks in the registry; the script's devices are there, too.
  await play(stage, { ...ours, seconds: 0 }, more);
  return play(stage, { ...ours, seconds }, more);
}

async function playPlain(stage: Stage, count: number, seconds: number): Promise<MockCrowd> {
  const logins = Array.from({ length: count }, (_, index) => ({
    id: `plain-${index}`,
    password: generateSecret(),
  }));
  await stage.database.query({
    text: `insert into devices (id, meter_id, mqtt_user, type, password_hash)
           select id, id, id, 'meter', hash from unnest($1::text[], $2::bytea[]) as d (id, hash)`,
    values: [logins.map(({ id }) => id), logins.map(({ password }) => hashSecret(password))],
  });
  const path = join(stage.folder, 'logins.json');
  await writeFile(path, JSON.stringify(logins));
  const file = resolve(__dirname, 'peers/plain-mocks.ts');
  return play(stage, { name: 'mqtt.js client per mock', file, count, seconds }, { BENCH_LOGINS: path });
}

async function play(
  { running }: Stage,
  {
    name,
    file,
    count,
    seconds,
  }: { readonly name: string; readonly file: string; readonly count: number; readonly seconds: number },
  more: Readonly<Record<string, string>>,
): Promise<MockCrowd> {
  const env = {
    NODE_ENV: 'production',
    BENCH_MQTT_PORT: String(running.mqttPort),
    BENCH_MOCKS: String(count),
    ...more,
  };
  const started = performance.now();
  const child = startChild(process.execPath, ['--require', 'tsx/cjs', file], { env });
  try {
    await child.says('all online', onlineMs);
    const onlineSeconds = (performance.now() - started) / 1_000;
    // One round, so that every mock has said something.
    await delay(6_000);
    const [cpu, heard, at] = [cpuSeconds([child.pid]), await telemetryOf(running), performance.now()];
    let memory = 0;
    for (let second = 0; second < seconds; second += 1) {
      await delay(1_000);
      memory = Math.max(memory, memoryMiB([child.pid]));
    }
    const spent = (performance.now() - at) / 1_000;
    return {
      name,
      mocks: count,
      onlineSeconds,
      memoryMiB: memory,
      cpuShare: (cpuSeconds([child.pid]) - cpu) / spent,
      telemetryPerSecond: ((await telemetryOf(running)) - heard) / spent,
    };
  } finally {
    await child.stop();
  }
}

/** What the broker counted so far. */
async function telemetryOf({ httpUrl = '' }: Running): Promise<number> {
  const text = await (await fetch(`${httpUrl}/metrics`)).text();
  const [, count] = /^mqtt_messages_received_total\{topic="devices\/\+\/telemetry"\} (\d+)/m.exec(text) ?? [];
  if (count === undefined) throw new Error(`The broker tells nothing of telemetry: ${text.slice(0, 200)}`);
  return Number(count);
}

function told(crowd: MockCrowd | undefined): string {
  if (crowd === undefined) return '';
  const { name, mocks, onlineSeconds, memoryMiB: memory, cpuShare, telemetryPerSecond } = crowd;
  const parts = [
    `${mocks.toLocaleString('en-US')} mocks, ${name}: online after ${onlineSeconds.toFixed(1)} s`,
    `${memory.toFixed(0)} MiB`,
    `${(100 * cpuShare).toFixed(0)} % of a core`,
    `${telemetryPerSecond.toFixed(0)} telemetry/s`,
  ];
  return parts.join(' · ');
}
