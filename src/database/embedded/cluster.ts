import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '../../errors.js';
import type { Binaries } from './binaries.js';
import type { Runner } from './runner.js';

export const superuser = 'meterflow';

/** Makes the data folder on the first start; finds it, and its password, on every later one. */
export async function prepareCluster(
  folder: string,
  binaries: Binaries,
  runner: Runner,
  log: (line: string) => void,
): Promise<{ data: string; password: string }> {
  const data = join(folder, 'data');
  const passwordFile = join(folder, 'password');
  if (existsSync(join(data, 'PG_VERSION'))) {
    await refuseOtherVersion(data, binaries);
    await runner.own(data);
    return { data, password: await readPassword(passwordFile) };
  }
  log('making the database (first start)');
  const password = randomBytes(24).toString('base64url');
  await writeFile(passwordFile, password, { mode: 0o600 });
  // A killed initdb leaves half a cluster: it works beside the place, and the rename makes it whole.
  const unfinished = join(folder, 'data.unfinished');
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await runner.own(unfinished);
  const handedOver = join(folder, 'password.initdb');
  await writeFile(handedOver, password, { mode: 0o600 });
  try {
    await runner.own(handedOver);
    await runner.run(binaries.initdb, [
      `--pgdata=${unfinished}`,
      `--username=${superuser}`,
      `--pwfile=${handedOver}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--data-checksums',
    ]);
  } finally {
    await rm(handedOver, { force: true });
  }
  await rename(unfinished, data);
  return { data, password };
}

async function refuseOtherVersion(data: string, binaries: Binaries): Promise<void> {
  const found = (await readFile(join(data, 'PG_VERSION'), 'utf8')).trim();
  const wanted = binaries.version.split('.')[0];
  if (found === wanted) return;
  throw new DomainError(
    'CONFIGURATION',
    `${data} was made by PostgreSQL ${found}, this installation brings ${wanted}. Move the data with pg_dump and pg_restore, or set DATA_DIR to another folder.`,
  );
}

async function readPassword(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (cause) {
    throw new DomainError(
      'CONFIGURATION',
      `${file} is missing or unreadable, and without it the data beside it cannot be opened.`,
      { cause },
    );
  }
}
