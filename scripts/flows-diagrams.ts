// Second half of npm run flows:examples – flows/README.md with one diagram per tab.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readFlowFiles } from '../src/operation/flow-files.js';
import { diagramsText } from './flows/diagrams.js';
import { flowsFolder } from './flows/folders.js';

writeFileSync(join(flowsFolder, 'README.md'), diagramsText(readFlowFiles(flowsFolder)));
console.log('flows/README.md');
