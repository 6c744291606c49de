import assert from 'node:assert/strict';
import { parseTimestamp } from '../../src/readings/timestamp.js';

describe('the timestamp of a reading [M-11]', () => {
  const noon = Date.UTC(2026, 10, 20, 12);

  const accepted: [what: string, input: string | number, ms: number][] = [
    ['RFC 3339 in UTC', '2026-11-20T12:00:00Z', noon],
    ['lower case letters', '2026-11-20t12:00:00z', noon],
    ['an offset east', '2026-11-20T15:00:00+03:00', noon],
    ['an offset west with minutes', '2026-11-20T08:30:00-03:30', noon],
    ['the unknown offset', '2026-11-20T12:00:00-00:00', noon],
    ['tenths of a second', '2026-11-20T12:00:00.5Z', noon + 500],
    ['milliseconds', '2026-11-20T12:00:00.123Z', noon + 123],
    ['nanoseconds, cut off', '2026-11-20T12:00:00.123999999Z', noon + 123],
    ['29 February of a leap year', '2028-02-29T00:00:00Z', Date.UTC(2028, 1, 29)],
    ['a leap second', '2016-12-31T23:59:60Z', Date.UTC(2017, 0, 1)],
    ['a leap second with an offset', '2017-01-01T02:59:60+03:00', Date.UTC(2017, 0, 1)],
    ['Unix seconds', noon / 1000, noon],
    ['Unix milliseconds', noon, noon],
    ['the last number taken for seconds', 99_999_999_999, 99_999_999_999_000],
    ['the first number taken for milliseconds', 100_000_000_000, 100_000_000_000],
    ['zero', 0, 0],
  ];
  for (const [what, input, ms] of accepted) {
    it(`takes ${what}: ${input}`, () => assert.equal(parseTimestamp(input), ms));
  }

  const refused: (string | number)[] = [
    '2026-11-20T12:00:00',
    '2026-11-20 12:00:00Z',
    '2026-11-20T12:00Z',
    '2026-11-20T12:00:00+0300',
    '2026-11-20T12:00:00+03',
    '2026-11-20T12:00:00+24:00',
    '2026-11-20T12:00:00+03:60',
    '2026-11-20T12:00:00Z ',
    ' 2026-11-20T12:00:00Z',
    '2026-11-20T12:00:00ZZ',
    '2026-11-20T12:00:00.Z',
    '2026-11-20T24:00:00Z',
    '2026-11-20T12:60:00Z',
    '2026-11-20T12:00:61Z',
    '2026-11-20T12:00:60Z',
    '2026-02-29T12:00:00Z',
    '2026-04-31T12:00:00Z',
    '2026-00-10T12:00:00Z',
    '2026-13-10T12:00:00Z',
    '2026-11-00T12:00:00Z',
    '2026-1-20T12:00:00Z',
    '+2026-11-20T12:00:00Z',
    '٢٠٢٦-11-20T12:00:00Z',
    '1795176000',
    'now',
    '',
    1_795_176_000.5,
    1_795_176_000_000.5,
    NaN,
    Infinity,
    1e300,
    8_640_000_000_000_001,
  ];
  for (const input of refused) {
    it(`refuses ${JSON.stringify(input)}`, () => assert.equal(parseTimestamp(input), NaN));
  }

  it('agrees with Date on random moments and offsets', () => {
    for (let round = 0; round < 20_000; round++) {
      const ms = Math.floor(Math.random() * 4e12);
      const offset = Math.floor(Math.random() * 1679) - 839;
      const local = new Date(ms + offset * 60_000).toISOString().slice(0, 23);
      const minutes = Math.abs(offset);
      const hhmm = [Math.floor(minutes / 60), minutes % 60]
        .map((part) => String(part).padStart(2, '0'))
        .join(':');
      const text = `${local}${offset < 0 ? '-' : '+'}${hhmm}`;
      assert.equal(parseTimestamp(text), ms, text);
    }
  });

  it('never takes a damaged text for a moment that Date does not see', () => {
    const alphabet = '0123456789-:.TZ+ tz\u0000é';
    for (let round = 0; round < 20_000; round++) {
      const text = new Date(Math.floor(Math.random() * 4e12)).toISOString().split('');
      text[Math.floor(Math.random() * text.length)] =
        alphabet[Math.floor(Math.random() * alphabet.length)] ?? '';
      const damaged = text.join('');
      const ms = parseTimestamp(damaged);
      if (!Number.isNaN(ms) && !damaged.includes(':60')) {
        assert.equal(ms, Date.parse(damaged.toUpperCase()), damaged);
      }
    }
  });
});
