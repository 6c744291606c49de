import assert from 'node:assert/strict';
import {
  createTokenSlot,
  tokenConductOf,
  unitsOfToken,
  usualTokenRates,
} from '../../src/mocks/virtual-token.js';
import {
  parseTokenCommand,
  tokenAnswerText,
  tokenCommandText,
} from '../../src/mocks/virtual-token-messages.js';
import { checkToken } from '../../src/tokens/sts.js';

const example = '54158492421732529281';
const usual = tokenConductOf(1, 'METER001', example, usualTokenRates);

describe('A simulated token', () => {
  it('of the original gives its 2.0 units; every other gives whole tenths from 0.1 to 71.3', () => {
    assert.equal(unitsOfToken(example), 20_000);
    for (const token of ['00000000000000000000', '23716100501183194197', '42369210743477933997']) {
      const units = unitsOfToken(token);
      assert.ok(units % 1_000 === 0 && units >= 1_000 && units <= 713_000, `${token}: ${units}`);
    }
  });

  it('is taken once, and its remembered digits are forgotten after fifty others', () => {
    const slot = createTokenSlot();
    assert.deepEqual(slot.take(example, usual), {
      status: 'success',
      units: 20_000,
      message: 'ACCEPT',
    });
    assert.equal(slot.take(example, usual).status, 'used');
    for (let number = 0; number < 50; number += 1) {
      assert.equal(slot.take(String(number).padStart(20, '0'), usual).status, 'success');
    }
    assert.equal(slot.take(example, usual).status, 'success');
  });

  it('is not taken when it is no credit token, in the words of the check', () => {
    assert.deepEqual(createTokenSlot().take(example.slice(1), usual), {
      status: 'failed',
      units: 0,
      message: 'REJECT: the 20th digit is missing',
    });
  });

  for (const [ending, conduct] of [
    ['0001', { refuses: 'used' }],
    ['0002', { refuses: 'wrong_meter' }],
    ['0003', { refuses: 'expired' }],
    ['0004', { refuses: 'failed' }],
    ['0005', { answers: 0 }],
    ['0006', { delayed: true }],
    ['0007', { answers: 2 }],
    ['0008', {}],
  ] as const) {
    it(`that ends in ${ending} fares so: ${JSON.stringify(conduct)}`, () => {
      const token = `3333333333333333${ending}`;
      assert.equal(checkToken(token).outcome, 'valid');
      assert.deepEqual(tokenConductOf(1, 'METER001', token, usualTokenRates), { ...usual, ...conduct });
    });
  }

  it('fares by the rates, the same for the same seed', () => {
    const rates = { refused: 0.5, silent: 0.1, late: 0.2, twice: 0.1 };
    const tokens = Array.from({ length: 2_000 }, (_, index) => String(index * 10 + 8).padStart(20, '1'));
    const conducts = tokens.map((token) => tokenConductOf(7, 'METER001', token, rates));
    assert.deepEqual(
      conducts,
      tokens.map((token) => tokenConductOf(7, 'METER001', token, rates)),
    );
    const part = (is: (one: (typeof conducts)[number]) => boolean): number =>
      conducts.filter(is).length / conducts.length;
    const near = (found: number, wanted: number): void =>
      assert.ok(Math.abs(found - wanted) < 0.05, `${found} is not about ${wanted}`);
    near(
      part((one) => one.refuses !== null),
      0.5,
    );
    near(
      part((one) => one.answers === 0),
      0.1,
    );
    near(
      part((one) => one.delayed),
      0.2,
    );
    assert.deepEqual(
      new Set(conducts.map(({ refuses }) => refuses)),
      new Set([null, 'used', 'wrong_meter', 'expired', 'failed']),
    );
    assert.notDeepEqual(
      conducts,
      tokens.map((token) => tokenConductOf(8, 'METER001', token, rates)),
    );
  });
});

describe('What a meter says of a token [T-3]', () => {
  const taken = { status: 'success', units: 20_000, message: 'ACCEPT' } as const;
  const refused = { status: 'used', units: 0, message: 'USED' } as const;

  it('is a list of records from a meter with a DRN, as in the original', () => {
    assert.deepEqual(JSON.parse(tokenAnswerText('records', '09000030529', taken, null, 1_753_416_882_900)), [
      { n: '1P-Energy-Meter', v: '09000030529', t: 1_753_416_882 },
      { n: 'injected-units', v: 2, t: 0 },
      { n: 'credit-token-ack', v: 1, t: 0 },
    ]);
    assert.deepEqual(JSON.parse(tokenAnswerText('records', '09000030529', refused, 'id', 0)), [
      { n: '1P-Energy-Meter', v: '09000030529', t: 0 },
      { n: 'injected-units', v: 0, t: 0 },
      { n: 'credit-token-ack', v: 0, t: 0 },
      { n: 'status', v: 'used', t: 0 },
      { n: 'message', v: 'USED', t: 0 },
      { n: 'message-id', v: 'id', t: 0 },
    ]);
  });

  it('is an object from the others, with the message id when there was one, never with the token', () => {
    assert.deepEqual(JSON.parse(tokenAnswerText('object', 'METER001', taken, 'id-1', 0)), {
      meter_number: 'METER001',
      status: 'success',
      injected_units: 2,
      message: 'ACCEPT',
      message_id: 'id-1',
    });
    assert.equal('message_id' in JSON.parse(tokenAnswerText('object', 'METER001', refused, null, 0)), false);
  });

  it('answers a command in JSON, or the digits alone', () => {
    const command = { token: example, messageId: 'id-1' };
    assert.deepEqual(parseTokenCommand(tokenCommandText(command)), command);
    assert.deepEqual(parseTokenCommand(example), { token: example, messageId: null });
    for (const [text, reason] of [
      ['', 'it is not JSON'],
      ['[]', 'credit_token is not a string'],
      ['null', 'it is not an object'],
      [`{"credit_token":${example}}`, 'credit_token is not a string'],
    ] as const) {
      assert.equal(parseTokenCommand(text), reason);
    }
  });
});
