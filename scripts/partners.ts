import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/**
 * A node is nodes/<type>.ts with a default export; it needs its html, its labels, its help and its line in
 * package.json, and none of these may stand alone. Helpers beside the nodes have no default export.
 * @returns one sentence per missing partner
 */
export function partnerProblems(root: string): string[] {
  const types = globSync('nodes/*.ts', { cwd: root })
    .filter((file) => /^export default /m.test(readFileSync(join(root, file), 'utf8')))
    .map((file) => basename(file, '.ts'))
    .sort();
  const problems = types.flatMap((type) => missingFiles(root, type));
  const known = new Set(types);
  for (const file of globSync('nodes/{*.html,locales/*/*.{json,html}}', { cwd: root })) {
    if (!known.has(basename(file).replace(/\.\w+$/, ''))) problems.push(`${file} belongs to no node.`);
  }
  return [...problems, ...mapProblems(root, types)];
}

function missingFiles(root: string, type: string): string[] {
  return [`nodes/${type}.html`, `nodes/locales/en-US/${type}.json`, `nodes/locales/en-US/${type}.html`]
    .filter((file) => !existsSync(join(root, file)))
    .map((file) => `nodes/${type}.ts has no ${file}.`);
}

function mapProblems(root: string, types: readonly string[]): string[] {
  const found = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    'node-red'?: { nodes?: Record<string, string> };
  };
  const map = new Map(Object.entries(found['node-red']?.nodes ?? {}));
  const wrong = types
    .filter((type) => map.get(type) !== `dist/nodes/${type}.js`)
    .map((type) => `package.json: node-red.nodes lacks "${type}": "dist/nodes/${type}.js".`);
  const stray = [...map.keys()]
    .filter((type) => !types.includes(type))
    .map((type) => `package.json: node-red.nodes names ${type}, which is no node.`);
  return [...wrong, ...stray];
}
