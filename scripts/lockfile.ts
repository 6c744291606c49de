// npm run lockfile – completes package-lock.json after an install; `--check` only looks.
// npm leaves out optional packages of other platforms that the registry at hand does not hold, and `npm ci` then refuses
// the lockfile everywhere. Their versions are pinned by the package that names them, so they can be written down unseen.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

interface Entry {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  resolved?: string;
  link?: boolean;
  cpu?: string[];
  os?: string[];
  libc?: string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const path = join(resolve(__dirname, '..'), 'package-lock.json');
const lock = JSON.parse(readFileSync(path, 'utf8')) as { packages: Record<string, Entry> };
const problems: string[] = [];

for (const [place, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (lock.packages[`node_modules/${name}`] !== undefined || lock.packages[`${place}/node_modules/${name}`])
      continue;
    if (!/^\d+\.\d+\.\d+/.test(version)) continue;
    problems.push(`${name} ${version}`);
    lock.packages[`node_modules/${name}`] = {
      version,
      ...(entry.dev === true ? { dev: true } : {}),
      optional: true,
      ...platformOf(name),
    };
  }
  if (entry.resolved !== undefined && entry.link !== true) {
    problems.push(`${place} names the host it came from`);
    delete entry.resolved;
  }
}

if (problems.length > 0 && process.argv.includes('--check')) {
  console.error(`package-lock.json: ${problems.join(', ')}: npm run lockfile`);
  process.exitCode = 1;
} else if (problems.length > 0) {
  const [root, ...others] = Object.entries(lock.packages);
  const sorted = [root, ...others.sort(([a], [b]) => (a < b ? -1 : 1))].filter((pair) => pair !== undefined);
  writeFileSync(path, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
}

/** `@oxlint/binding-linux-x64-musl` is for os linux, cpu x64, libc musl. */
function platformOf(name: string): Pick<Entry, 'cpu' | 'os' | 'libc'> {
  const words = name.replace(/^.*\//, '').split('-');
  const one = (known: readonly string[]): string[] => known.filter((word) => words.includes(word));
  const os = one([
    'aix',
    'android',
    'darwin',
    'freebsd',
    'linux',
    'netbsd',
    'openbsd',
    'openharmony',
    'sunos',
    'win32',
  ]);
  const cpu = one(['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64']);
  const libc = words.includes('musl') ? ['musl'] : words.includes('gnu') ? ['glibc'] : [];
  return {
    ...(cpu.length > 0 ? { cpu } : {}),
    ...(libc.length > 0 ? { libc } : {}),
    ...(os.length > 0 ? { os } : {}),
  };
}
