import assert from 'node:assert/strict';
import type { MeterAnswer } from '../../src/tokens/answer.js';
import { attribute, type HeardAnswer, type OpenToken } from '../../src/tokens/attribution.js';

const token = (id: string, more: Partial<OpenToken> = {}): OpenToken => ({
  id,
  token: id,
  caller: 'test',
  deliveries: 1,
  isConfirmed: false,
  ...more,
});
const [a, b, c] = [token('a'), token('b'), token('c')];
const confirmed = token('a', { isConfirmed: true });

const said = (outcome: MeterAnswer['outcome'], at: number): HeardAnswer => ({
  at,
  answer: {
    outcome,
    units: outcome === 'success' ? at : null,
    message: null,
    meter_number: null,
    token: null,
    message_id: null,
    data: { at },
  },
});
/** In the order of coming: y for a yes, n for a no. */
const heard = (letters: string): HeardAnswer[] =>
  Array.from(letters, (letter, at) => said(letter === 'y' ? 'success' : 'failed', at));

describe('Answers that name no token', () => {
  const rows: readonly [title: string, tokens: OpenToken[], answers: string, whose: string][] = [
    ['a yes is that of the only token', [a], 'y', 'a0'],
    ['a no is that of the only token', [a], 'n', 'a0'],
    ['a yes may be that of either of two', [a, b], 'y', ''],
    ['a no may be that of either of two', [a, b], 'n', ''],
    ['two yeses are of both, in their order', [a, b], 'yy', 'a0 b1'],
    ['two noes are of both', [a, b], 'nn', 'a0 b1'],
    ['a yes and a no may be either way round', [a, b], 'yn', ''],
    ['a no and a yes may be either way round', [a, b], 'ny', ''],
    ['two yeses and a no: both said yes, one heard its token twice', [a, b], 'yny', 'a0 b2'],
    ['two yeses may be those of any two of three', [a, b, c], 'yy', ''],
    ['three are of all three', [a, b, c], 'yyy', 'a0 b1 c2'],
    ['more yeses than tokens: one is of a token of nobody', [a], 'yy', ''],
    ['a yes is not that of a confirmed one', [confirmed, b], 'y', 'b0'],
    ['a no may be that of a confirmed one', [confirmed, b], 'n', ''],
    ['a no to a confirmed one, and a yes', [confirmed, b], 'ny', 'b1'],
    ['two noes may both be of one that was sent twice', [token('a', { deliveries: 2 }), b], 'nn', ''],
    ['nothing is known of nothing', [a, b], '', ''],
  ];
  for (const [title, tokens, answers, whose] of rows) {
    it(title, () => {
      const pairs = attribute(tokens, heard(answers));
      assert.equal(pairs.map(([{ id }, { at }]) => `${id}${at}`).join(' '), whose);
    });
  }

  it('never make a yes of one that was not said, whatever was forwarded, forgotten, doubled or overtaken', () => {
    for (const one of everyCourse(3, 4)) {
      const tokens = one.fates.map((fate, n) => token(String(n), { isConfirmed: fate === 'confirmed' }));
      const answers = one.answers.map(({ yes }, at) => said(yes ? 'success' : 'used', at));
      for (const [{ id }, { answer }] of attribute(tokens, answers)) {
        if (answer.outcome !== 'success') continue;
        const isTrue = one.answers.some(({ of, yes }) => yes && of === Number(id));
        assert.ok(isTrue, JSON.stringify(one));
      }
    }
  });
});

/** What became of a token before: the meter confirmed it, or nobody knows. */
type Fate = 'open' | 'confirmed';
interface Course {
  readonly fates: readonly Fate[];
  /** To which token, in the order of coming; a token has one yes at most. */
  readonly answers: readonly { readonly of: number; readonly yes: boolean }[];
}

/** Every course of up to so many answers of up to so many tokens. */
function* everyCourse(tokensMax: number, answersMax: number): Generator<Course> {
  for (let tokens = 1; tokens <= tokensMax; tokens++) {
    for (let fated = 0; fated < 2 ** tokens; fated++) {
      const fates = Array.from({ length: tokens }, (_, n): Fate => ((fated >> n) & 1 ? 'confirmed' : 'open'));
      yield* coursesOf(fates, [], answersMax);
    }
  }
}

function* coursesOf(
  fates: readonly Fate[],
  answers: Course['answers'],
  answersMax: number,
): Generator<Course> {
  yield { fates, answers };
  if (answers.length === answersMax) return;
  for (const [of, fate] of fates.entries()) {
    const mayBeYes = fate === 'open' && !answers.some((one) => one.of === of && one.yes);
    for (const yes of mayBeYes ? [true, false] : [false])
      yield* coursesOf(fates, [...answers, { of, yes }], answersMax);
  }
}
