import { readdir, readFile, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Stops whatever still runs on a data folder: the server of a Meterflow that was killed. All processes of a server
 * work in its folder, which tells them apart from others better than a process id in a file can.
 * @returns the process ids that were found
 */
export async function stopOrphans(data: string): Promise<number[]> {
  const found = await processesIn(data);
  if (found.length > 0) {
    const postmaster = await postmasterOf(data);
    signal(
      found.filter((pid) => pid === postmaster),
      'SIGINT',
    );
    if (!(await gone(data, 5_000))) signal(await processesIn(data), 'SIGKILL');
    await gone(data, 5_000);
  }
  // Nobody works here: the id in the file may by now be that of a stranger, for which PostgreSQL would refuse to start.
  await rm(join(data, 'postmaster.pid'), { force: true });
  return found;
}

/** Kills at once whatever works in the folder. */
export async function killAll(data: string): Promise<void> {
  signal(await processesIn(data), 'SIGKILL');
  await gone(data, 5_000);
}

async function gone(data: string, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while ((await processesIn(data)).length > 0) {
    if (Date.now() > deadline) return false;
    await delay(20);
  }
  return true;
}

/** Those of other users cannot be read and are not ours. */
async function processesIn(folder: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const cwds = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => undefined)));
  return pids.filter((_, index) => cwds[index] === folder).map(Number);
}

async function postmasterOf(data: string): Promise<number | undefined> {
  const file = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Number.parseInt(file, 10);
  return Number.isInteger(pid) ? pid : undefined;
}

function signal(pids: readonly number[], name: 'SIGINT' | 'SIGKILL'): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // it ended meanwhile
    }
  }
}
