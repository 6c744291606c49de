import assert from 'node:assert/strict';
import { DomainError } from '../../src/errors.js';
import { errorAnswer } from '../../src/http/errors.js';

describe('the error shape', () => {
  it('carries code, sentence, details and status', () => {
    const details = [{ path: '/kwh_amount', message: 'must be a number' }];
    assert.deepEqual(errorAnswer(new DomainError('SCHEMA_INVALID', 'Not a reading.', { details })), {
      status: 400,
      headers: {},
      body: { error: { code: 'SCHEMA_INVALID', message: 'Not a reading.', details } },
    });
  });

  it("knows an error that Node-RED's Catch has made plain", () => {
    const plain = {
      code: 'METER_UNKNOWN',
      message: 'DomainError: There is no such meter.',
      source: { id: 'x' },
    };
    const { status, body } = errorAnswer(plain);
    assert.equal(status, 404);
    assert.equal(body.error.message, 'There is no such meter.');
  });

  it('says when to ask again while the database is away', () => {
    assert.deepEqual(errorAnswer(new DomainError('DATABASE_UNAVAILABLE', 'Away.')).headers, {
      'retry-after': '5',
    });
  });

  for (const [what, thrown] of [
    ['an error of a driver', Object.assign(new Error('password "x" for select'), { code: '42P01' })],
    ['an error named like a prototype property', { code: 'constructor', message: 'x' }],
    ['a thrown text', 'secret'],
  ] as const) {
    it(`tells nothing of ${what} [S-3]`, () => {
      const { status, body } = errorAnswer(thrown);
      assert.equal(status, 500);
      assert.deepEqual(body.error, {
        code: 'INTERNAL',
        message: 'Something failed inside; the log says what.',
      });
    });
  }
});
