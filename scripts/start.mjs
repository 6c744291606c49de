/**
 * `npm start`: finds the Node.js that came with the installation, builds what is not built, and starts the appliance.
 * Plain JavaScript, because it must run on Node.js 20, before anything is built.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { isBuilt } from './fingerprint.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

// Node-RED 5 needs 22.9. npm puts node_modules/.bin first, so that `npm start` is already there; `node scripts/start.mjs` is not.
if (major > 22 || (major === 22 && minor >= 9)) await here();
else elsewhere();

async function here() {
  process.chdir(root);
  if (!isBuilt(root)) build();
  const { start } = createRequire(import.meta.url)(join(root, 'dist/appliance/start.js'));
  await start(root);
}

function build() {
  const from = performance.now();
  const { status } = spawnSync(
    process.execPath,
    ['--require', 'tsx/cjs', join(root, 'scripts/build.ts'), ...process.argv.slice(2)],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  if (status !== 0) process.exit(1);
  if (process.stdout.isTTY)
    console.log(`  build     dist/ from the sources  ${((performance.now() - from) / 1000).toFixed(1)} s`);
}

function elsewhere() {
  const node = join(root, 'node_modules/.bin/node');
  if (!existsSync(node)) {
    console.error(
      `Node-RED 5 needs Node.js 22.9 or later, this is ${process.version}, and node_modules brings none: run \`npm ci\` first.`,
    );
    process.exit(1);
  }
  // The channel tells the child when this process is gone, even by kill -9.
  const child = spawn(node, process.argv.slice(1), { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)));
}
