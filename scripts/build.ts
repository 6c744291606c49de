/**
 * Builds dist/: compiled TypeScript in the same tree, with everything beside it that the compiler leaves behind.
 * Works in a folder of its own and swaps at the end, so that a running start never sees half a build.
 * `--lenient` only warns about type errors and missing partners, for work in progress.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fingerprint } from './fingerprint.mjs';
import { partnerProblems } from './partners.js';

const root = resolve(__dirname, '..');
const lenient = process.argv.includes('--lenient');
const dist = join(root, 'dist');
const fresh = join(root, `dist.new-${process.pid}`);
const old = join(root, `dist.old-${process.pid}`);

// Read before compiling: what changes meanwhile makes the next start build again.
const sources = fingerprint(root);

try {
  complain('A node lacks a partner:', partnerProblems(root));
  compile();
  copyAssets();
  writeFileSync(join(fresh, 'build.json'), `${JSON.stringify({ sources })}\n`);
  swap();
} finally {
  rmSync(fresh, { recursive: true, force: true });
  rmSync(old, { recursive: true, force: true });
}

function compile(): void {
  const tsc = require.resolve('typescript/package.json').replace(/package\.json$/, 'bin/tsc');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', fresh, '--noEmitOnError', String(!lenient)],
    { cwd: root, encoding: 'utf8' },
  );
  if (status !== 0)
    complain(
      'The compiler refuses:',
      [stdout, stderr].filter((text) => text.trim() !== ''),
    );
}

/** The editor's html, locales, icons; SQL and schemas that code reads from beside itself. */
function copyAssets(): void {
  const assets = [
    ...globSync('nodes/{*.html,icons/**/*.*,locales/**/*.*}', { cwd: root }),
    ...globSync('src/**/*.{sql,proto}', { cwd: root }),
  ];
  for (const asset of assets) {
    mkdirSync(dirname(join(fresh, asset)), { recursive: true });
    cpSync(join(root, asset), join(fresh, asset));
  }
}

/** Two starts may build at once; the one that comes second puts its own build, made from the same sources, on top. */
function swap(): void {
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (existsSync(dist)) renameSync(dist, old);
      renameSync(fresh, dist);
      return;
    } catch (error) {
      if (attempt === 10) throw error;
      rmSync(old, { recursive: true, force: true });
    }
  }
}

function complain(heading: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  console.error([heading, ...problems.map((problem) => `  ${problem.trimEnd()}`)].join('\n'));
  if (!lenient) process.exit(1);
}
