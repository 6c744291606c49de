import assert from 'node:assert/strict';
import { judgeTyped } from '../../src/tokens/typed.js';

const token = '54158492421732529281';

describe('an injection while it is typed', () => {
  it('is valid with both fields, in groups as people write them', () => {
    const judged = judgeTyped({ meter_number: ' 0900 0030 529', credit_token: '5415-8492-4217-3252-9281 ' });
    assert.equal(judged.valid, true);
    assert.deepEqual(judged.meter_number, {
      value: '09000030529',
      state: 'valid',
      kind: null,
      position: null,
      message: null,
      pan: '600727090000305292',
    });
    assert.equal(judged.credit_token?.value, token);
  });

  for (const [field, typed, state, position, message] of [
    ['credit_token', '', 'incomplete', 1, 'the 1st to 20th digits are missing'],
    ['credit_token', token.slice(0, 19), 'incomplete', 20, 'the 20th digit is missing'],
    ['credit_token', '8', 'flawed', 1, /^cannot be: the 1st digit is 7 at most/],
    ['credit_token', 5, null, null, null],
    ['meter_number', '09000030528', 'flawed', 11, 'check digit should be 9, or another digit is wrong'],
    ['meter_number', '0900003052', 'valid', null, 'as a DRN of 11 digits, the 11th digit is missing'],
    ['meter_number', 'METER 1', 'flawed', 6, /^has a space in the 6th place/],
    ['meter_number', '', 'incomplete', null, 'is missing'],
    ['meter_number', '12-34', 'valid', null, null],
  ] as const) {
    it(`says of ${field} "${typed}": ${state}`, () => {
      const judged = judgeTyped({ [field]: typed });
      assert.equal(judged.valid, false);
      const said = judged[field];
      assert.deepEqual([said?.state ?? null, said?.position ?? null], [state, position]);
      if (message instanceof RegExp) assert.match(said?.message ?? '', message);
      else assert.equal(said?.message ?? null, message);
    });
  }

  it('takes whatever comes for nothing typed', () => {
    for (const said of [undefined, null, 5, 'text', [], {}]) {
      assert.deepEqual(judgeTyped(said), { valid: false, meter_number: null, credit_token: null });
    }
  });
});
