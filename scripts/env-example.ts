/** Writes .env.example from the table of variables; `--check` only compares and fails when they differ. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { envExample } from '../src/operation/environment-example.js';

const path = join(resolve(__dirname, '..'), '.env.example');
if (!process.argv.includes('--check')) writeFileSync(path, envExample());
else if (readFileSync(path, 'utf8') !== envExample()) {
  console.error(
    '.env.example differs from src/operation/environment-table.ts: run `npx tsx scripts/env-example.ts`.',
  );
  process.exitCode = 1;
}
