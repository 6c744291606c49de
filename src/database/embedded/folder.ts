import { chmod, mkdir, realpath, stat } from 'node:fs/promises';
import { DomainError } from '../../errors.js';

/**
 * Makes the folder of the server, for every user to enter: root hands it to another one. What is secret inside has
 * modes of its own.
 * @throws DomainError CONFIGURATION when this user may not write there
 */
export async function prepareFolder(path: string): Promise<string> {
  const uid = process.getuid?.();
  try {
    await mkdir(path, { recursive: true });
    const folder = await realpath(path);
    const { uid: owner } = await stat(folder);
    // A plain user cannot take over what root, or somebody else, has made.
    if (uid !== 0 && uid !== owner)
      throw new Error(`it belongs to uid ${owner}, and this process runs as uid ${uid}`);
    await chmod(folder, 0o755);
    return folder;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new DomainError(
      'CONFIGURATION',
      `The database cannot be kept in ${path}: ${why}. Start as its owner, change the owner, or set DATA_DIR to another folder.`,
      { cause },
    );
  }
}
