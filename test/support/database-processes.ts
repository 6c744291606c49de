import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The postmaster of the embedded server below `folder` and its children, for tests that kill them. */
export async function databaseProcesses(folder: string): Promise<number[]> {
  const names = await readdir(folder, { recursive: true });
  const pidFile = names.find((name) => name.endsWith('postmaster.pid'));
  assert.ok(pidFile, 'postmaster.pid');
  const postmaster = Number((await readFile(join(folder, pidFile), 'utf8')).split('\n')[0]);
  const found = [postmaster];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === postmaster) found.push(Number(name));
  }
  return found;
}
