/** A number in [0, 1) that depends on its arguments only: FNV-1a over the text, then a 32-bit finalizer. */
export function drawn(seed: number, meterId: string, position: number | string): number {
  let hash = 0x811c9dc5;
  for (const char of `${seed}|${meterId}|${position}`) {
    hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000;
}
