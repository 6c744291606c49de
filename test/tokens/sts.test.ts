import assert from 'node:assert/strict';
import {
  checkDrn,
  checkMeterNumber,
  checkPan,
  checkToken,
  classOf,
  compact,
  hintOf,
  panOf,
} from '../../src/tokens/sts.js';

const example = '54158492421732529281';

/** Sets bits 28 and 27 of a token: the same block in another class. */
function ofClass(token: string, tokenClass: number): string {
  const cleared = BigInt(token) & ~(3n << 27n);
  return String(cleared | (BigInt(tokenClass) << 27n)).padStart(20, '0');
}

describe('STS tokens without keys [T-4]', () => {
  for (const [name, token] of [
    ['the example of the original', example],
    ['CTSA01 of the conformance tests, step 1', '23716100501183194197'],
    ['CTSA01 of the conformance tests, step 2', '67206107716095682372'],
    ['a token of 25.6 kWh from the conformance tests', '29054347139309851356'],
    ['another token of the original', '42369210743477933997'],
    ['one more of the original', '42363619873964056638'],
    ['the smallest', '00000000000000000000'],
    ['the largest of class 0', ofClass('73786976294838206463', 0)],
  ] as const) {
    it(`take ${name}`, () => {
      assert.deepEqual(checkToken(token), { outcome: 'valid', token });
      assert.equal(classOf(token), 0);
    });
  }

  for (const [token, kind, position, message] of [
    ['', 'missing', 1, 'the 1st to 20th digits are missing'],
    [example.slice(0, 18), 'missing', 19, 'the 19th to 20th digits are missing'],
    [example.slice(0, 19), 'missing', 20, 'the 20th digit is missing'],
    [`${example}5`, 'surplus', 21, 'has one digit too many: 21 instead of 20'],
    [`${example}567`, 'surplus', 21, 'has 3 digits too many: 23 instead of 20'],
    [
      '5415849242173252928O',
      'character',
      20,
      'has the letter O instead of 0 in the 20th place: only digits are allowed',
    ],
    ['5415 8492 4217 3252 9281', 'character', 5, 'has a space in the 5th place: only digits are allowed'],
    ['54158492421732529.81', 'character', 18, 'has "." in the 18th place: only digits are allowed'],
    ['٥4158492421732529281', 'character', 1, 'has "٥" in the 1st place: only digits are allowed'],
    [
      '73786976294838206464',
      'too_large',
      20,
      'cannot be: the 20th digit is 3 at most after 7378697629483820646, as tokens go up to 73786976294838206463',
    ],
    ['8', 'too_large', 1, 'cannot be: the 1st digit is 7 at most, as tokens go up to 73786976294838206463'],
    [
      '7381',
      'too_large',
      3,
      'cannot be: the 3rd digit is 7 at most after 73, as tokens go up to 73786976294838206463',
    ],
    [
      ofClass(example, 1),
      'class',
      null,
      'is a token of class 1 (a test or display function, for any meter), not a credit token (class 0)',
    ],
    [
      ofClass(example, 2),
      'class',
      null,
      'is a token of class 2 (management of one meter: keys, power limit, tampering), not a credit token (class 0)',
    ],
    ['73786976294838206463', 'class', null, 'is a token of class 3 (reserved), not a credit token (class 0)'],
  ] as const) {
    it(`say of "${token}": ${message}`, () => {
      assert.deepEqual(checkToken(token), { outcome: 'flawed', kind, position, message });
    });
  }

  it('know every class by bits 28 and 27', () => {
    for (const tokenClass of [0, 1, 2, 3]) assert.equal(classOf(ofClass(example, tokenClass)), tokenClass);
  });

  it('are typed in groups', () => assert.equal(compact(' 5415-8492 4217\t3252 9281\n'), example));
});

describe('meter numbers of STS', () => {
  it('have maker, serial number and the number of their card', () => {
    assert.deepEqual(checkDrn('09000030529'), {
      outcome: 'valid',
      drn: '09000030529',
      manufacturer: '09',
      serial: '00003052',
      pan: '600727090000305292',
    });
    assert.deepEqual(checkDrn('1234567890003'), {
      outcome: 'valid',
      drn: '1234567890003',
      manufacturer: '1234',
      serial: '56789000',
      pan: panOf('1234567890003'),
    });
  });

  it('are in the MeterPAN of the conformance tests', () => {
    const judged = checkPan('600727000000000009');
    assert.ok(judged.outcome === 'valid');
    assert.equal(judged.drn, '00000000000');
    assert.equal(panOf('00000000000'), '600727000000000009');
  });

  it('are found in a card, with 11 digits or 13', () => {
    for (const drn of ['09000030529', '1234567890003']) {
      const judged = checkPan(panOf(drn));
      assert.ok(judged.outcome === 'valid');
      assert.equal(judged.drn, drn);
    }
  });

  it('are known by every single wrong digit and every swap of neighbours but 09 and 90', () => {
    const drn = '09000030529';
    for (let at = 0; at < drn.length; at++) {
      for (const digit of '0123456789') {
        const changed = drn.slice(0, at) + digit + drn.slice(at + 1);
        assert.equal(checkDrn(changed).outcome, changed === drn ? 'valid' : 'flawed', changed);
      }
      const [one = '', next = ''] = [drn[at], drn[at + 1]];
      const swapped = drn.slice(0, at) + next + one + drn.slice(at + 2);
      const isBlind = one === next || (one + next).split('').sort().join('') === '09' || next === '';
      assert.equal(checkDrn(swapped).outcome, isBlind ? 'valid' : 'flawed', swapped);
    }
  });

  for (const [pan, kind, position, message] of [
    ['600727090000305290', 'check_digit', 18, 'check digit should be 2, or another digit is wrong'],
    ['60072709000030529', 'missing', 18, 'the 18th digit is missing'],
    [
      // The card's own digit fits, that of the number in it does not.
      '600727090000305284',
      'check_digit',
      17,
      'in its DRN, check digit should be 9, or another digit is wrong',
    ],
    ['400000000000000002', 'form', 1, 'begins with neither 600727 nor 0000, as numbers of STS meters do'],
  ] as const) {
    it(`say of the card "${pan}": ${message}`, () => {
      assert.deepEqual(checkPan(pan), { outcome: 'flawed', kind, position, message });
    });
  }

  for (const [number, kind, position, message] of [
    ['09000030528', 'check_digit', 11, 'check digit should be 9, or another digit is wrong'],
    ['1234567890004', 'check_digit', 13, 'check digit should be 3, or another digit is wrong'],
    ['', 'missing', null, 'is missing'],
    ['METER 001', 'character', 6, 'has a space in the 6th place: letters, digits, - and _ are allowed'],
    ['METER#1', 'character', 6, 'has "#" in the 6th place: letters, digits, - and _ are allowed'],
    ['m'.repeat(51), 'surplus', 51, 'has 51 characters: a meter_id has 50 at most'],
  ] as const) {
    it(`are refused as "${number}": ${message}`, () => {
      assert.deepEqual(checkMeterNumber(number), { outcome: 'flawed', kind, position, message });
    });
  }

  it('may be a meter_id, also of digits only', () => {
    for (const number of ['METER001', 'a', '123', '0900003052', '123456789012', 'x'.repeat(50)]) {
      assert.deepEqual(checkMeterNumber(number), { outcome: 'valid', form: 'meter_id' });
    }
  });

  for (const [number, hint] of [
    ['0900003052', 'as a DRN of 11 digits, the 11th digit is missing'],
    ['123456789000', 'as a DRN of 13 digits, the 13th digit is missing'],
    ['12345678900031', 'as a DRN of 13 digits, has one digit too many: 14 instead of 13'],
    ['600727090000305292', "this is the number of an STS card; the meter's own number in it is 09000030529"],
    [
      '600727090000305290',
      'as the number of an STS card, check digit should be 2, or another digit is wrong',
    ],
    ['METER001', undefined],
    ['1234', undefined],
    ['09000030529', undefined],
  ] as const) {
    it(`hint of "${number}": ${hint ?? 'nothing'}`, () => assert.equal(hintOf(number), hint));
  }
});
