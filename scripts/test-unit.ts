// npm run test:unit – every test file that needs no real part: it reaches no database, no socket and no process, however
// indirectly. Found by its imports, so that a new file belongs here by itself.
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const root = resolve(__dirname, '..');
const realParts =
  /^(?:pg|pg-boss|aedes|mqtt|ws|ioredis|node-red.*|@nats-io\/.*|playwright-core|node:(?:child_process|dgram|http|https|net|tls|worker_threads))$/;

function importsOf(file: string): string[] {
  const source = readFileSync(file, 'utf8').replace(/^(?:import|export) type [^;]*;/gm, '');
  return [...source.matchAll(/\bfrom '([^']+)'|\bimport\('([^']+)'\)/g)].map(
    ([, name, later]) => name ?? later ?? '',
  );
}

const judged = new Map<string, boolean>();

function needsRealPart(file: string): boolean {
  const known = judged.get(file);
  if (known !== undefined) return known;
  judged.set(file, false); // should it import itself in a circle
  const found = importsOf(file).some((name) => {
    if (!name.startsWith('.')) return realParts.test(name);
    const path = resolve(dirname(file), name.replace(/\.js$/, '.ts'));
    return existsSync(path) && needsRealPart(path);
  });
  judged.set(file, found);
  return found;
}

const files = globSync('test/**/*.test.ts', { cwd: root })
  .map((file) => join(root, file))
  .filter((file) => !needsRealPart(file))
  .map((file) => relative(root, file))
  .sort();
if (process.argv.includes('--list')) console.log(files.join('\n'));
else {
  // A busy machine is not a failure; that they are fast is seen.
  const mocha = ['--no-config', '--require', 'tsx/cjs', '--forbid-only', '--timeout', '30000', ...files];
  process.exitCode = spawnSync('mocha', mocha, { cwd: root, stdio: 'inherit' }).status ?? 1;
}
