// npm run flows:update – newer shipped tabs into the flow file of DATA_DIR; the user's own tabs stay.
import { join, resolve } from 'node:path';
import { updateFlows } from '../appliance/flows.js';

const root = resolve(__dirname, '..');
const userDir = join(resolve(process.env['DATA_DIR'] || join(root, '.meterflow')), 'node-red');
const { taken, backup, lacking } = updateFlows(root, userDir);
console.log(
  backup === null
    ? 'Your copies of the shipped tabs are up to date.'
    : `Taken over: ${taken.join(', ')}. The file as it was: ${backup}. Restart Meterflow before the next deploy.`,
);
if (lacking.length > 0)
  console.log(
    `Your credentials are encrypted: look in the editor whether ${lacking.join(', ')} have theirs, as \${VARIABLE}.`,
  );
