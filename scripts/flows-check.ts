// npm run flows:check – are the shipped flows as we want them, and is what is built from them up to date?
import { join } from 'node:path';
import { flowText, readFlowFiles } from '../src/operation/flow-files.js';
import { diagramsText } from './flows/diagrams.js';
import { exampleTexts } from './flows/examples.js';
import { differences, examplesFolder, flowsFolder, textOf } from './flows/folders.js';
import { nodeTypes } from './flows/node-types.js';
import { problemsOf } from './flows/rules.js';

const files = readFlowFiles(flowsFolder);
const texts = new Map(files.map((file) => [`${file.name}.json`, flowText(file.nodes)]));
const stale = [
  ...differences(examplesFolder, exampleTexts(files)).map((name) => `examples/${name}`),
  ...(textOf(join(flowsFolder, 'README.md')) === diagramsText(files) ? [] : ['flows/README.md']),
];
const problems = [
  ...problemsOf(files, nodeTypes()),
  ...differences(flowsFolder, texts).map(
    (name) => `flows/${name} is not in canonical form: run npm run flows:split`,
  ),
  ...stale.map((path) => `${path} is not what flows/ says: run npm run flows:examples`),
];
for (const problem of new Set(problems)) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else console.log(`${files.length} flow files in order`);
