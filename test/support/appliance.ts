import { spawn } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort } from './ports.js';

export interface Appliance {
  readonly port: number;
  readonly mqttPort: number;
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly dataDir: string;
  readonly pid: number;
  /** Everything printed so far. */
  output(): string;
  /** SIGTERM, then waits. @returns the exit code */
  stop(): Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
  waitForExit(): Promise<number | null>;
}

export interface ApplianceOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** A folder that outlives the appliance; without it a temporary one goes with the stop. */
  readonly dataDir?: string;
  /** Runs as this user of the system (tests that run as root only). */
  readonly uid?: number;
  /** false: returns at once, for starts that are meant to fail. */
  readonly wait?: boolean;
  /** The installation; the repository unless told otherwise. */
  readonly root?: string;
}

const repository = resolve(__dirname, '../..');
const startMs = 120_000;

/** Starts the real thing, `node scripts/start.mjs`, on free ports, and waits until its addresses are printed. */
export async function startAppliance(options: ApplianceOptions = {}): Promise<Appliance> {
  const { env = {}, uid, wait = true, root = repository } = options;
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'meterflow-start-'));
  if (uid !== undefined) chownSync(dataDir, uid, uid);
  const port = Number(env['PORT'] ?? (await freePort()));
  const mqttPort = Number(env['MQTT_BROKER_PORT'] ?? env['MQTT_PORT'] ?? (await freePort()));
  const child = spawn(join(root, 'node_modules/.bin/node'), [join(root, 'scripts/start.mjs')], {
    cwd: root,
    env: {
      ...bare(),
      DATA_DIR: dataDir,
      PORT: String(port),
      MQTT_BROKER_PORT: String(mqttPort),
      // Mocks of a test's devices would mix with what it counts; tests about mocks turn them on.
      MOCK_SYNC: 'off',
      // Appliances of one database share it; one with a data folder of its own makes its own.
      ...(env['DATABASE_URL'] === undefined ? {} : { MASTER_KEY: '5a'.repeat(32) }),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  let text = '';
  let code: number | null | undefined;
  const exited = new Promise<number | null>((settle) => {
    child.once('exit', (found) => {
      code = found;
      settle(found);
    });
  });
  const started = new Promise<void>((settle, fail) => {
    const read = (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('Meterflow runs')) settle();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    void exited.then((found) => fail(new Error(`the appliance ended with ${found}:\n${text}`)));
    setTimeout(
      () => fail(new Error(`the appliance did not start in ${startMs} ms:\n${text}`)),
      startMs,
    ).unref();
  });
  started.catch(() => {});

  const appliance: Appliance = {
    port,
    mqttPort,
    url: `http://127.0.0.1:${port}`,
    dataDir,
    pid: child.pid ?? 0,
    output: () => text,
    async stop() {
      if (code === undefined) child.kill('SIGTERM');
      const found = await exited;
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
      return found;
    },
    kill: (signal) => void child.kill(signal),
    waitForExit: () => exited,
  };
  if (!wait) return appliance;
  try {
    await started;
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  return appliance;
}

/** Only what a program needs to run: no setting of the person who runs the tests reaches the appliance. */
function bare(): Record<string, string> {
  const { PATH = '', HOME = '/', LANG = 'C.UTF-8' } = process.env;
  return { PATH, HOME, LANG };
}
