import { readFileSync } from 'node:fs';

/** How many files, sockets included, a process started from here may have open. */
export function openFilesMax(): number {
  const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}
