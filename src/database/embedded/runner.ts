import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { lchown, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '../../errors.js';
import type { Binaries } from './binaries.js';

/** As whom PostgreSQL runs: it refuses to run as root. */
export interface Runner {
  /** For the log: `as user postgres`. */
  readonly name: string;
  start(program: string, args: readonly string[]): ChildProcess;
  /** Runs to the end and hands back what it printed. @throws DomainError CONFIGURATION with what it complained of */
  run(program: string, args: readonly string[]): Promise<string>;
  /** Gives a file, or a folder with all that is in it, to the server. */
  own(path: string): Promise<void>;
}

interface Way {
  readonly name: string;
  /** Put before the command. */
  readonly prefix: readonly string[];
  readonly options: SpawnOptions;
  /** Who must own the files, as seen from this process; undefined: whoever we are. */
  readonly owner: User | undefined;
}

interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Takes the first way in which PostgreSQL runs here and reaches its folder. */
export async function createRunner(binaries: Binaries, folder: string): Promise<Runner> {
  const complaints: string[] = [];
  for (const way of await ways()) {
    const runner = runnerOf(way, binaries);
    try {
      if (way.owner !== undefined) await lchown(folder, way.owner.uid, way.owner.gid);
      await runner.run('/bin/sh', ['-c', 'cd "$1" && exec "$2" --version', 'sh', folder, binaries.postgres]);
      return runner;
    } catch (error) {
      complaints.push(`${way.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new DomainError(
    'CONFIGURATION',
    `PostgreSQL cannot run in ${folder}: ${complaints.join('; ')}. Set DATA_DIR to a folder that every user may enter, start as a plain user, or set DATABASE_URL to a server of your own.`,
  );
}

/**
 * A plain user is taken as it is. root becomes a user of the system; where that one cannot enter the folder (a clone
 * below /root), it becomes one in name only by a user namespace, or takes along the right to pass closed folders (in
 * Docker, where namespaces are refused). A number without a name (`docker run --user 12345`) borrows one: initdb asks.
 */
async function ways(): Promise<Way[]> {
  const users = await systemUsers();
  const uid = process.getuid?.();
  const gid = process.getgid?.();
  const user = ['postgres', 'nobody', 'daemon'].flatMap((name) =>
    users.filter((one) => one.name === name),
  )[0];
  if (uid !== 0 && users.some((one) => one.uid === uid))
    return [{ name: 'as this user', prefix: [], options: {}, owner: undefined }];
  if (user === undefined || uid === undefined || gid === undefined) return [];
  const inName: Way = {
    name: `in a user namespace as ${user.name}`,
    prefix: ['unshare', '--user', `--map-user=${user.uid}`, `--map-group=${user.gid}`, '--'],
    options: {},
    owner: uid === 0 ? { name: 'root', uid, gid } : undefined,
  };
  if (uid !== 0) return [inName];
  const ids = { uid: user.uid, gid: user.gid };
  const passing = [
    `--reuid=${user.uid}`,
    `--regid=${user.gid}`,
    '--clear-groups',
    '--inh-caps=+dac_override',
    '--ambient-caps=+dac_override',
  ];
  return [
    { name: `as ${user.name}`, prefix: [], options: ids, owner: user },
    inName,
    {
      name: `as ${user.name}, passing closed folders`,
      prefix: ['setpriv', ...passing, '--'],
      options: {},
      owner: user,
    },
  ];
}

async function systemUsers(): Promise<User[]> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  return lines.map(([name = '', , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }));
}

function runnerOf(way: Way, binaries: Binaries): Runner {
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    TZ: 'UTC',
    LC_ALL: 'C',
    LD_LIBRARY_PATH: binaries.libraries.join(':'),
  };
  function start(program: string, args: readonly string[]): ChildProcess {
    const [command = program, ...rest] = [...way.prefix, program, ...args];
    // A session of its own: Ctrl-C in the terminal reaches us only, and PostgreSQL stops after the last commit.
    return spawn(command, rest, {
      ...way.options,
      env,
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }
  return {
    name: way.name,
    start,
    run: (program, args) =>
      new Promise((resolve, reject) => {
        const child = start(program, args);
        let said = '';
        let complained = '';
        child.stdout?.on('data', (bytes: Buffer) => (said += bytes.toString()));
        child.stderr?.on('data', (bytes: Buffer) => (complained += bytes.toString()));
        child.once('error', reject);
        child.once('close', (code) => {
          if (code === 0) return resolve(said);
          reject(
            new DomainError(
              'CONFIGURATION',
              complained.trim().slice(-2_000) || `${program} ended with ${code}`,
            ),
          );
        });
      }),
    own: async (path) => {
      if (way.owner !== undefined) await give(path, way.owner);
    },
  };
}

/** The owner changes when the first start found another way than this one. */
async function give(path: string, owner: User): Promise<void> {
  const found = await stat(path);
  if (found.uid === owner.uid && found.gid === owner.gid) return;
  const below = found.isDirectory() ? await readdir(path, { recursive: true }) : [];
  for (const name of below) await lchown(join(path, name), owner.uid, owner.gid);
  // Last: its owner tells that all is done.
  await lchown(path, owner.uid, owner.gid);
}
