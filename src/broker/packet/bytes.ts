import { isUtf8 } from 'node:buffer';

/** The byte at `i`, which the caller has checked to be inside. */
export function at(buffer: Buffer, i: number): number {
  return buffer[i] as number;
}

export function uint16(buffer: Buffer, i: number): number {
  return (at(buffer, i) << 8) | at(buffer, i + 1);
}

const SLASH = 0x2f;
const PLUS = 0x2b;
const HASH = 0x23;
/** aedes' topic tree throws beyond. */
const LEVELS_MAX = 100;

/**
 * Whether the bytes are a UTF-8 string that MQTT allows: well-formed, no surrogates, no NUL
 * ([MQTT-1.5.3-1], [MQTT-1.5.3-2]) and no control characters (section 1.5.3 lets us close on them).
 */
export function isText(buffer: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = at(buffer, i);
    if (byte < 0x20 || byte === 0x7f) return false;
    if (byte >= 0x80) return isWideText(buffer, i, end);
  }
  return true;
}

/** A topic name: text, not empty, no wildcards ([MQTT-3.3.2-2], [MQTT-4.7.3-1]). */
export function isTopic(buffer: Buffer, start: number, end: number): boolean {
  if (start >= end || !isText(buffer, start, end)) return false;
  let levels = 1;
  for (let i = start; i < end; i++) {
    const byte = at(buffer, i);
    if (byte === PLUS || byte === HASH) return false;
    if (byte === SLASH) levels++;
  }
  return levels <= LEVELS_MAX;
}

/** A topic filter: text, not empty, each wildcard a whole level, `#` the last ([MQTT-4.7.1-2], [MQTT-4.7.1-3]). */
export function isFilter(buffer: Buffer, start: number, end: number): boolean {
  if (start >= end || !isText(buffer, start, end)) return false;
  let levels = 1;
  for (let i = start; i < end; i++) {
    const byte = at(buffer, i);
    if (byte === SLASH) levels++;
    if (byte !== PLUS && byte !== HASH) continue;
    const opens = i === start || at(buffer, i - 1) === SLASH;
    const closes = i === end - 1 || (byte === PLUS && at(buffer, i + 1) === SLASH);
    if (!opens || !closes) return false;
  }
  return levels <= LEVELS_MAX;
}

function isWideText(buffer: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = at(buffer, i);
    if (byte < 0x20 || byte === 0x7f) return false;
    // C2 80 … C2 9F are U+0080 … U+009F.
    if (byte === 0xc2 && i + 1 < end && at(buffer, i + 1) < 0xa0) return false;
  }
  return isUtf8(buffer.subarray(start, end));
}
