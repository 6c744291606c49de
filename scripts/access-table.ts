/** Writes the table of docs/access.md from the shipped flows; `--check` only compares and fails when they differ. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readFlowFiles } from '../src/operation/flow-files.js';
import { accessTable } from './flows/access.js';
import { flowsFolder, root } from './flows/folders.js';

const path = join(root, 'docs/access.md');
const between = /(<!-- from flows\/: npm run access -->\n)[\s\S]*?(<!-- end -->)/;
const before = readFileSync(path, 'utf8');
const after = before.replace(
  between,
  (_, head: string, foot: string) => `${head}\n${accessTable(readFlowFiles(flowsFolder))}\n\n${foot}`,
);
if (!between.test(before)) throw new Error('docs/access.md has lost the marks of its table');
if (!process.argv.includes('--check')) writeFileSync(path, after);
else if (before !== after) {
  console.error('The table of docs/access.md is not what flows/ says: run npm run access.');
  process.exitCode = 1;
}
