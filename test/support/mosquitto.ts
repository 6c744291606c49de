import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:net';
import { connectAsync } from 'mqtt';
import { eventually } from './eventually.js';
import { freePort } from './ports.js';

export interface Mosquitto {
  readonly port: number;
  /** SIGTERM, which saves what it keeps, or SIGKILL; the folder stays for the next start. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
  /** Further users, while it runs. */
  admit(logins: readonly Login[]): Promise<void>;
}

export interface Login {
  readonly user: string;
  readonly password: string;
}

export interface MosquittoOptions {
  /** Without any, everybody may log in. */
  readonly logins?: readonly Login[];
  /** MQTTS, and clients show a certificate of this CA. */
  readonly tls?: { readonly caFile: string; readonly certFile: string; readonly keyFile: string };
}

/** The lines that docs/operating.md recommends. */
export const recommended = `
max_inflight_messages 0
max_queued_messages 0
persistence true
autosave_interval 1
autosave_on_changes false
`;

/** A real Mosquitto on a free port of 127.0.0.1 that keeps sessions and queues over a restart. */
export async function startMosquitto({ logins, tls }: MosquittoOptions = {}): Promise<Mosquitto> {
  const program = ['/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto', '/usr/bin/mosquitto'].find(existsSync);
  if (program === undefined) throw new Error('Mosquitto is missing: apt-get install -y mosquitto');
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'meterflow-mosquitto-'));
  const file = join(folder, 'mosquitto.conf');
  const passwords = join(folder, 'passwords');
  if (logins !== undefined) writePasswords(passwords, logins);
  const config =
    logins === undefined ? 'allow_anonymous true\n' : `allow_anonymous false\npassword_file ${passwords}\n`;
  // As root it would change to a user that cannot write here.
  const user = process.getuid?.() === 0 ? 'user root\n' : '';
  writeFileSync(
    file,
    `listener ${port} 127.0.0.1\nsys_interval 1\n${user}persistence_location ${folder}/\n${tlsLines(tls)}${recommended}${config}`,
  );
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    if (child !== undefined && child.exitCode === null) return;
    let said = '';
    const started = spawn(program ?? '', ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    started.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child = started;
    await eventually(async () => {
      if (started.exitCode !== null) throw new Error(`Mosquitto ended: ${said}`);
      return answers(port);
    });
  }

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null) return;
    const gone = new Promise((resolve) => running.once('exit', resolve));
    running.kill(signal);
    await gone;
  }

  await start();
  return {
    port,
    start,
    stop,
    async admit(more) {
      writePasswords(passwords, [...(logins ?? []), ...more]);
      child?.kill('SIGHUP');
      // It reads the file in its main loop; a login is the way to see that it has.
      const [one] = more;
      if (one !== undefined) await eventually(() => mayLogIn(port, one));
    },
    async remove() {
      await stop('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function tlsLines(tls: MosquittoOptions['tls']): string {
  if (tls === undefined) return '';
  return `cafile ${tls.caFile}\ncertfile ${tls.certFile}\nkeyfile ${tls.keyFile}\nrequire_certificate true\n`;
}

/** Hashed in place by the program that comes with it. */
function writePasswords(file: string, logins: readonly Login[]): void {
  writeFileSync(file, logins.map(({ user, password }) => `${user}:${password}\n`).join(''), { mode: 0o600 });
  execFileSync('mosquitto_passwd', ['-U', file]);
}

async function mayLogIn(port: number, { user, password }: Login): Promise<boolean> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    username: user,
    password,
    clientId: `probe-${user}`,
    reconnectPeriod: 0,
  });
  await client.endAsync(true);
  return true;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
