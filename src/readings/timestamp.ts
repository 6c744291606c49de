/**
 * The three forms of a timestamp ([M-11]) as Unix ms, or NaN: RFC 3339 with an offset, whole Unix ms, whole Unix s.
 * Integers from 1e11 on are ms (1973 as ms, the year 5138 as s), so no moment of this century is ambiguous.
 * Fractions of a second beyond the millisecond are cut off.
 */
export function parseTimestamp(value: string | number): number {
  if (typeof value === 'string') return parseRfc3339(value);
  if (!Number.isInteger(value)) return NaN;
  const time = Math.abs(value) >= 1e11 ? value : value * 1000;
  return Math.abs(time) <= dateMsMax ? time : NaN;
}

/** What `Date` can hold; beyond it toISOString throws. */
const dateMsMax = 8.64e15;
const daysOfMonth = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const DASH = 45;
const COLON = 58;
const DOT = 46;

/** By hand: `Date.parse` accepts much that is not RFC 3339 (no offset, 2026-02-31) and a regular expression costs 3 times as much. */
function parseRfc3339(text: string): number {
  if (text.length < 20 || text.length > 64) return NaN;
  const year = digits(text, 0, 4);
  const month = digits(text, 5, 2);
  const day = digits(text, 8, 2);
  const hour = digits(text, 11, 2);
  const minute = digits(text, 14, 2);
  const second = digits(text, 17, 2);
  const t = text.charCodeAt(10) | 32;
  if (!(year >= 0 && month >= 1 && month <= 12 && day >= 1 && hour <= 23 && minute <= 59 && second <= 60))
    return NaN;
  if (text.charCodeAt(4) !== DASH || text.charCodeAt(7) !== DASH || t !== 116) return NaN;
  if (text.charCodeAt(13) !== COLON || text.charCodeAt(16) !== COLON) return NaN;
  if (day > (daysOfMonth[month - 1] ?? 0) || (month === 2 && day === 29 && !isLeapYear(year))) return NaN;

  let at = 19;
  let millisecond = 0;
  if (text.charCodeAt(at) === DOT) {
    const first = ++at;
    while (isDigit(text.charCodeAt(at))) at++;
    if (at === first) return NaN;
    millisecond = Number(
      text
        .slice(first, first + 3)
        .slice(0, at - first)
        .padEnd(3, '0'),
    );
  }
  const offset = offsetMinutes(text, at);
  const time = Date.UTC(year, month - 1, day, hour, minute, second, millisecond) - offset * 60_000;
  // Date.UTC takes the years 0 to 99 for 1900 to 1999; nothing of that age is a timestamp of ours.
  if (Number.isNaN(time) || year < 100) return NaN;
  // A leap second exists only as 23:59:60 UTC; it counts as the first moment of the next day.
  if (second === 60 && (time - millisecond) % 86_400_000 !== 0) return NaN;
  return time;
}

function offsetMinutes(text: string, at: number): number {
  const sign = text.charCodeAt(at);
  if ((sign | 32) === 122) return text.length === at + 1 ? 0 : NaN;
  if ((sign !== 43 && sign !== DASH) || text.length !== at + 6 || text.charCodeAt(at + 3) !== COLON)
    return NaN;
  const hours = digits(text, at + 1, 2);
  const minutes = digits(text, at + 4, 2);
  if (!(hours <= 23 && minutes <= 59)) return NaN;
  return (sign === DASH ? -1 : 1) * (hours * 60 + minutes);
}

function digits(text: string, from: number, count: number): number {
  let value = 0;
  for (let at = from; at < from + count; at++) {
    const code = text.charCodeAt(at);
    if (!isDigit(code)) return NaN;
    value = value * 10 + code - 48;
  }
  return value;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function isLeapYear(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}
