import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './folders.js';

/** Core nodes that shipped flows are made of. Not among them: function, exec, inject (but for simulators). */
const core: Readonly<Record<string, number | 'any'>> = {
  catch: 1,
  change: 1,
  comment: 0,
  debug: 0,
  delay: 'any',
  group: 0,
  'http in': 1,
  'http response': 0,
  join: 1,
  json: 1,
  junction: 1,
  'link call': 1,
  'link in': 1,
  'link out': 0,
  rbe: 1,
  split: 1,
  switch: 'any',
  tab: 0,
};

/** Number of outputs by node type: of this package, of the dashboard, and of the core nodes that flows may use. */
export function nodeTypes(): Map<string, number | 'any'> {
  const types = new Map(Object.entries(core));
  for (const html of htmlFiles(join(root, 'nodes'))) addTypes(types, html);
  const dashboard = join(root, 'node_modules/@flowfuse/node-red-dashboard/nodes');
  for (const folder of ['config', 'widgets']) {
    for (const html of htmlFiles(join(dashboard, folder))) addTypes(types, html);
  }
  return types;
}

/** The editor's half of a node says its type and how many outputs it has; config nodes have none. */
function addTypes(types: Map<string, number | 'any'>, html: string): void {
  const text = readFileSync(html, 'utf8');
  const type = /registerType\(\s*'([^']+)'/.exec(text)?.[1];
  if (type !== undefined) types.set(type, Number(/^\s*outputs: *(\d+)/m.exec(text)?.[1] ?? 0));
}

function htmlFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.html'))
    .map((file) => join(folder, file));
}
