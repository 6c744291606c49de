/** The provider's ways to write amounts, times and texts: as numbers or as strings, padded or not. */

/** Texts and numbers as a text; null when there is nothing in it. */
export function textOf(value: unknown, lengthMax = 200): string | null {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (typeof value !== 'string') return null;
  const text = value.trim();
  return text === '' || text.length > lengthMax || text.includes('\0') ? null : text;
}

/**
 * Money as a text with two decimals: `1` and `"1"` are `1.00`. Null: no amount, negative, zero, too large for a payment
 * (12 digits), or with parts of a cent.
 */
export function amountOf(value: unknown): string | null {
  const text = textOf(value);
  const match = text === null ? null : /^0*(\d{1,12})(?:\.(\d{1,2})0*)?$/.exec(text);
  if (match === null) return null;
  const amount = `${match[1] ?? '0'}.${(match[2] ?? '').padEnd(2, '0')}`;
  return amount === '0.00' ? null : amount;
}

/** East Africa Time has no summer time. */
const eatOffsetMs = 3 * 3_600_000;

/** `20170727154800` (yyyyMMddHHmmss, East Africa Time), as text or number, in Unix ms; null when it is no such time. */
export function timeOf(value: unknown): number | null {
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(textOf(value) ?? '');
  if (match === null) return null;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  const asUtc = Date.UTC(year, month - 1, day, hour, minute, second);
  // Date.UTC takes the 31st of February for the 3rd of March.
  return writtenTime(asUtc - eatOffsetMs) === match[0] ? asUtc - eatOffsetMs : null;
}

/** The same the other way: what a request's `Timestamp` is. */
export function writtenTime(ms: number): string {
  return new Date(ms + eatOffsetMs).toISOString().replaceAll(/\D/g, '').slice(0, 14);
}

export function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
