import { strict as assert } from 'node:assert';
import { namedMeters } from '../../src/callers/named-meters.js';
import { DomainError } from '../../src/errors.js';

const named = (body: unknown, params = {}, idIsMeter = true): readonly string[] | null =>
  namedMeters({ params, body, idIsMeter, refusesMany: true });

describe('The meters that a request names', () => {
  it('are the one of its path, and then the body does not count', () => {
    assert.deepEqual(named({ meter_id: 'OTHER' }, { meter_id: 'MINE' }), ['MINE']);
    assert.deepEqual(named({}, { id: 'MINE' }), ['MINE']);
  });

  it('are not those of an :id that is something else', () => {
    assert.deepEqual(named({ meter_number: 'MINE' }, { id: '17' }, false), ['MINE']);
  });

  for (const [title, body, wanted] of [
    ['by meter_id', { meter_id: 'A' }, ['A']],
    ['by meter_number, with spaces around', { meter_number: ' 09000030529 ' }, ['09000030529']],
    ['by drn', { drn: '09000030529' }, ['09000030529']],
    ['by two names, which both count', { meter_id: 'MINE', meter_number: 'YOURS' }, ['MINE', 'YOURS']],
    [
      'of each reading, once',
      { readings: [{ meter_id: 'A' }, { meter_id: 'B' }, { meter_id: 'A' }] },
      ['A', 'B'],
    ],
    ['of an array', [{ meter_id: 'A' }, { meter_id: 'B' }], ['A', 'B']],
    ['above the readings, too', { meter_id: 'X', readings: [{ meter_id: 'A' }] }, ['X', 'A']],
  ] as const) {
    it(`are found ${title}`, () => assert.deepEqual(named(body), wanted));
  }

  for (const [title, body] of [
    ['nothing', undefined],
    ['an empty body', {}],
    ['a text', 'MINE'],
    ['raw bytes', Buffer.from('{"meter_id":"MINE"}')],
    ['null', null],
    ['a number for a name', { meter_number: 9000030529 }],
    ['a list for a name', { meter_id: ['MINE'] }],
    ['a name beside null', { meter_id: 'MINE', meter_number: null }],
    ['a name with a NUL', { meter_id: 'MINE\u0000' }],
    ['a name that is too long', { meter_id: 'M'.repeat(51) }],
    ['a prototype for a name', Object.create({ meter_id: 'MINE' })],
    ['no readings', { readings: [] }],
    ['readings that are none', { readings: 'MINE', meter_id: 'MINE' }],
    ['a reading without a name', { readings: [{ meter_id: 'MINE' }, {}] }],
    ['a reading that is null', { readings: [{ meter_id: 'MINE' }, null] }],
    ['a reading that is a list', { readings: [[{ meter_id: 'MINE' }]] }],
  ] as const) {
    it(`cannot be told from ${title}`, () => assert.equal(named(body), null));
  }

  it('cannot be told from a path that names nothing, or something odd', () => {
    assert.equal(named({ meter_id: 'MINE' }, { meter_id: '../x' }), null);
    assert.equal(named({ meter_id: 'MINE' }, { meter_id: '' }), null);
  });

  it('are looked for in a thousand readings, and in no more', () => {
    const readings = Array.from({ length: 1000 }, (_, index) => ({ meter_id: `M${index}` }));
    assert.equal(named({ readings })?.length, 1000);
    const body = { readings: [...readings, { meter_id: 'M' }] };
    assert.equal(namedMeters({ params: {}, body, idIsMeter: false, refusesMany: false }), null);
    assert.throws(
      () => named(body),
      (error) => error instanceof DomainError && error.code === 'PAYLOAD_TOO_LARGE',
    );
  });
});
