import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

export interface LogFile {
  write(bytes: Uint8Array): void;
  /** The last lines, for the report of a failed start. */
  tail(): string;
  close(): void;
}

const bytesMax = 5 * 1024 * 1024;
const tailMax = 4_000;

/** What PostgreSQL says: two files of at most 5 MB, since a full disk or a bad statement can repeat itself for ever. */
export function openLogFile(path: string): LogFile {
  let fd = openSync(path, 'a', 0o600);
  let size = fstatSync(fd).size;
  let tail = '';
  return {
    write(bytes) {
      tail = (tail + Buffer.from(bytes).toString('utf8')).slice(-tailMax);
      try {
        if (size + bytes.length > bytesMax) {
          closeSync(fd);
          renameSync(path, `${path}.1`);
          fd = openSync(path, 'a', 0o600);
          size = 0;
        }
        size += writeSync(fd, bytes);
      } catch {
        // The disk is full: that is no reason to stop.
      }
    },
    tail: () => tail.trim(),
    close: () => closeSync(fd),
  };
}
