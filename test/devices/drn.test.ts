import assert from 'node:assert/strict';
import { hasDrnCheckDigit } from '../../src/devices/drn.js';

describe('check digit of a DRN [T-4]', () => {
  for (const [drn, right] of [
    ['09000030529', true],
    ['79927398713', true],
    ['1234567890003', true],
    ['09000030528', false],
    ['09000003529', false],
    ['0900003052', false],
    ['090000305290', false],
    ['0900003052a', false],
    ['', false],
  ] as const) {
    it(`${right ? 'accepts' : 'refuses'} "${drn}"`, () => assert.equal(hasDrnCheckDigit(drn), right));
  }
});
