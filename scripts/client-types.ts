// npm run client:types – writes docs/client/meterflow-api.d.ts from the API document; `--check` only looks.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openApiDocument } from '../src/http/openapi/document.js';

const folder = join(resolve(__dirname, '..'), 'docs/client');
const path = join(folder, 'meterflow-api.d.ts');

/** Its own command reads the document and writes the types, as an integrator has it do. */
const { status, stdout, stderr } = spawnSync(
  process.execPath,
  [join(folder, 'node_modules/openapi-typescript/bin/cli.js')],
  { cwd: folder, input: JSON.stringify(openApiDocument('0.0.0')), encoding: 'utf8', maxBuffer: 1e8 },
);
if (status !== 0 || stdout === '') {
  console.error(`openapi-typescript wrote nothing (npm ci brings it): ${stderr}`);
  process.exitCode = 1;
} else if (!process.argv.includes('--check')) writeFileSync(path, stdout);
else if (stdout !== readFileSync(path, 'utf8')) {
  console.error('docs/client/meterflow-api.d.ts is not what the API document says: npm run client:types');
  process.exitCode = 1;
}
