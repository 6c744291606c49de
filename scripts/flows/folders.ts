import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const root = resolve(__dirname, '../..');
export const flowsFolder = join(root, 'flows');
export const examplesFolder = join(root, 'examples');

/** Writes the given files and removes other `.json` files of the folder. */
export function writeFolder(folder: string, files: ReadonlyMap<string, string>): void {
  mkdirSync(folder, { recursive: true });
  for (const old of jsonFiles(folder)) if (!files.has(old)) rmSync(join(folder, old));
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
}

/** Names of files that are missing, differ or are too many. */
export function differences(folder: string, files: ReadonlyMap<string, string>): string[] {
  const present = jsonFiles(folder);
  const wrong = [...files]
    .filter(([name, text]) => textOf(join(folder, name)) !== text)
    .map(([name]) => name);
  return [...wrong, ...present.filter((name) => !files.has(name))];
}

export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function jsonFiles(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch {
    return [];
  }
}
