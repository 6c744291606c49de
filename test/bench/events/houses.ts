import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openDatabase } from '../../../src/database/database.js';
import { migrate } from '../../../src/database/migrate.js';
import { startAppliance, type Appliance } from '../../support/appliance.js';
import type { ChangeOrder, ChangeReport } from './plan.js';

export interface Place {
  readonly databaseUrl: string;
  /** Of the broker, on a line that may be cut. */
  readonly mqttPort: number;
  readonly folder: string;
}

/** Programs that change devices and tell of it. */
export interface EventsHouse {
  readonly name: string;
  readonly about: string;
  start(): Promise<void>;
  change(order: ChangeOrder): Promise<ChangeReport>;
  /** kill -9 of all of it. */
  crash(): Promise<void>;
  stop(): Promise<void>;
  pids(): number[];
}

const changesTable = `create table changes (id bigint generated always as identity primary key, device_id text, name text)`;

/** `npm start` with the shipped flows; the program that changes devices publishes nothing. */
export async function ourEvents({ databaseUrl, mqttPort, folder }: Place): Promise<EventsHouse> {
  const database = openDatabase({ url: databaseUrl });
  await database.ready(20_000);
  await migrate(database);
  await database.query({ text: changesTable });
  await database.close();
  const dataDir = join(folder, 'data');
  mkdirSync(dataDir);
  const changer = createChanger({ PEER_PG_URL: databaseUrl });
  let appliance: Appliance | undefined;
  return {
    name: 'meterflow',
    about:
      'npm start, shipped flows: triggers write events with the change, the node publishes them from there',
    async start() {
      const env = {
        DATABASE_URL: databaseUrl,
        MQTT_BROKER_HOST: '127.0.0.1',
        MQTT_BROKER_PORT: String(mqttPort),
        INSTANCE_ID: 'bench',
        VIRTUAL_METERS: '0',
        MOCK_SYNC: 'off',
      };
      await Promise.all([startAppliance({ dataDir, env }).then((one) => (appliance = one)), changer.start()]);
    },
    change: (order) => changer.change(order),
    async crash() {
      appliance?.kill('SIGKILL');
      await Promise.all([appliance?.waitForExit(), changer.crash()]);
    },
    async stop() {
      await Promise.all([appliance?.stop(), changer.crash()]);
    },
    pids: () => [appliance?.pid ?? 0, changer.pid()],
  };
}

/** The usual script: change, commit, publish. */
export async function plainEvents({ databaseUrl, mqttPort }: Place): Promise<EventsHouse> {
  const database = openDatabase({ url: databaseUrl });
  await database.ready(20_000);
  await database.query({ text: `create table devices (id text primary key, name text)` });
  await database.query({ text: changesTable });
  await database.close();
  const changer = createChanger({ PEER_PG_URL: databaseUrl, PEER_MQTT_PORT: String(mqttPort) });
  return {
    name: 'usual script',
    about: 'pg and mqtt.js: publishes after the commit, QoS 1; what is not acknowledged waits in memory',
    start: () => changer.start(),
    change: (order) => changer.change(order),
    crash: () => changer.crash(),
    stop: () => changer.crash(),
    pids: () => [changer.pid()],
  };
}

function createChanger(env: Readonly<Record<string, string>>) {
  let child: ChildProcess | undefined;
  const kill = (): void => void child?.kill('SIGKILL');
  process.once('exit', kill);
  return {
    pid: () => child?.pid ?? 0,
    async start(): Promise<void> {
      const file = resolve(__dirname, '../peers/device-changes.ts');
      child = fork(file, [], { execArgv: ['--require', 'tsx/cjs'], env: { ...process.env, ...env } });
      await once(child, 'message', { signal: AbortSignal.timeout(60_000) });
    },
    /** Rejects when it is killed in the middle. */
    async change(order: ChangeOrder): Promise<ChangeReport> {
      const running = child;
      if (running === undefined) throw new Error('the changing program does not run');
      const exit = new AbortController();
      const ended = once(running, 'exit', { signal: exit.signal }).then(() => {
        throw new Error('the changing program was killed');
      });
      ended.catch(() => {});
      running.send(order);
      const answered = once(running, 'message').then(([report]) => report as ChangeReport);
      return Promise.race([answered, ended]).finally(() => exit.abort());
    },
    async crash(): Promise<void> {
      const running = child;
      child = undefined;
      if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
      const gone = once(running, 'exit');
      running.kill('SIGKILL');
      await gone;
    },
  };
}
