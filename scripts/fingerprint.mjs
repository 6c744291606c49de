import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Names, sizes and times of everything that a build reads. Cheaper than contents, and a file that went away counts.
 * @param {string} root
 * @returns {string}
 */
export function fingerprint(root) {
  const hash = createHash('sha256');
  for (const folder of ['appliance', 'nodes', 'src']) {
    for (const entry of readdirSync(join(root, folder), { recursive: true }).map(String).sort()) {
      const { size, mtimeMs } = statSync(join(root, folder, entry));
      if (/\.\w+$/.test(entry)) hash.update(`${folder}/${entry} ${size} ${mtimeMs}\n`);
    }
  }
  for (const file of ['package.json', 'tsconfig.json', 'tsconfig.build.json']) {
    hash.update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

/**
 * Whether dist/ is what the sources say. An installation without sources (a container) has nothing to compare with.
 * @param {string} root
 * @returns {boolean}
 */
export function isBuilt(root) {
  if (!existsSync(join(root, 'src'))) return true;
  try {
    return JSON.parse(readFileSync(join(root, 'dist/build.json'), 'utf8')).sources === fingerprint(root);
  } catch {
    return false;
  }
}
