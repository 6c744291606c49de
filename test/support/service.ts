import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.js';
import { freePort, listens } from './ports.js';

/** A program of this machine on a port of 127.0.0.1, with a folder of its own; both are its own until it is removed. */
export interface Service {
  readonly port: number;
  readonly folder: string;
  /** Resolves when it answers; does nothing while it runs. */
  start(): Promise<void>;
  /** Resolves when it is gone; the folder stays for the next start. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** With its folder. */
  remove(): Promise<void>;
}

export interface ServiceOptions {
  /** The first of these that is there; the first is also Debian's name for the package. */
  readonly programs: readonly [string, ...string[]];
  /** Writes what the program needs into its folder; hands back its arguments. */
  readonly prepare: (port: number, folder: string) => readonly string[];
  /** Whether it is ready; it is, once it takes connections, unless told otherwise. */
  readonly answers?: (port: number) => Promise<boolean>;
}

const folders = ['/usr/sbin', '/usr/local/sbin', '/usr/bin', '/usr/local/bin'];

/** Starts it on a free port. */
export async function startService({
  programs,
  prepare,
  answers = listens,
}: ServiceOptions): Promise<Service> {
  const [name] = programs;
  const program = find(programs);
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), `meterflow-${name}-`));
  const args = prepare(port, folder);
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    if (isRunning(child)) return;
    let said = '';
    const started = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [started.stdout, started.stderr])
      stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
    // Also when a run of the tests ends in the middle.
    const kill = (): void => void started.kill('SIGKILL');
    process.once('exit', kill);
    started.once('exit', () => process.off('exit', kill));
    child = started;
    await eventually(() => {
      if (!isRunning(started)) throw new Error(`${name} ended: ${said}`);
      return answers(port);
    });
  }

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const running = child;
    child = undefined;
    if (!isRunning(running)) return;
    const gone = new Promise((resolve) => running.once('exit', resolve));
    running.kill(signal);
    await gone;
  }

  await start();
  return {
    port,
    folder,
    start,
    stop,
    signal: (signal) => void child?.kill(signal),
    async remove() {
      await stop('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function find(programs: ServiceOptions['programs']): string {
  const found = programs.flatMap((one) => folders.map((folder) => join(folder, one))).find(existsSync);
  if (found === undefined) throw new Error(`${programs[0]} is missing: apt-get install -y ${programs[0]}`);
  return found;
}

function isRunning(child: ChildProcess | undefined): child is ChildProcess {
  return child !== undefined && child.exitCode === null && child.signalCode === null;
}
