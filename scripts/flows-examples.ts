// npm run flows:examples – examples/*.json, which the editor's Import dialog offers, from flows/*.json.
import { readFlowFiles } from '../src/operation/flow-files.js';
import { exampleTexts } from './flows/examples.js';
import { examplesFolder, flowsFolder, writeFolder } from './flows/folders.js';

const texts = exampleTexts(readFlowFiles(flowsFolder));
writeFolder(examplesFolder, texts);
console.log(`examples/: ${[...texts.keys()].join(', ')}`);
