// npm run flows:split -- <flow file> – an edited flow file back into flows/*.json, in canonical form.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  flowText,
  mergeFlows,
  readFlowFiles,
  splitFlows,
  type FlowNode,
} from '../src/operation/flow-files.js';
import { flowsFolder } from './flows/folders.js';

const shipped = readFlowFiles(flowsFolder);
const path = process.argv[2];
// Without a file: the shipped ones themselves, after an edit by hand.
const nodes =
  path === undefined ? mergeFlows(shipped) : (JSON.parse(readFileSync(path, 'utf8')) as FlowNode[]);
const files = splitFlows(nodes, shipped);
// A tab that the given file does not have keeps its file: to drop one is a decision for git.
for (const file of files) writeFileSync(join(flowsFolder, `${file.name}.json`), flowText(file.nodes));
console.log(
  `flows/: ${files.map((file) => file.name).join(', ')}; next: npm run flows:examples && npm run flows:check`,
);
