import assert from 'node:assert/strict';
import { readAnswer } from '../../src/tokens/answer.js';
import { checkMeterNumber, checkToken } from '../../src/tokens/sts.js';
import { judge, overheadOf, verdictOf, type Fact, type Heard, type Verdict } from './injections/judge.js';
import {
  answerTimeoutMs,
  evenCalls,
  numberOf,
  randomCalls,
  tokenOf,
  unitsOf,
  wordingOf,
} from './injections/plan.js';
import { answerOf } from './injections/played-meters.js';

const fact: Fact = {
  token: 7,
  meter: 0,
  vendor: 'accepted',
  calledAt: 100,
  acceptedAt: 110,
  answeredAt: 600,
  said: 'success',
  againAt: null,
};
const heard: Heard = { token: 7, dueAt: 90, answeredAt: 620, status: 200, units: unitsOf(7) };

describe('The judge of injections', () => {
  const cases: {
    title: string;
    heard?: Partial<Heard>;
    fact?: Partial<Fact> | null;
    isDoubtful?: true;
    verdict: Verdict;
  }[] = [
    { title: "the meter's own word", verdict: 'right' },
    { title: "another token's units", heard: { units: unitsOf(8) }, verdict: 'crossed' },
    { title: 'a success before the meter answered', heard: { answeredAt: 599 }, verdict: 'falseSuccess' },
    {
      title: 'a success of a token that the meter refused',
      fact: { said: 'refusal' },
      verdict: 'falseSuccess',
    },
    { title: 'a success of a token that nobody handed over', fact: null, verdict: 'falseSuccess' },
    {
      title: 'a refusal that the meter said',
      heard: { status: 422 },
      fact: { said: 'refusal' },
      verdict: 'right',
    },
    { title: 'a refusal of a token that the meter booked', heard: { status: 422 }, verdict: 'falseRefusal' },
    {
      title: 'a refusal while the meter was silent',
      heard: { status: 422 },
      fact: { answeredAt: null, said: null },
      verdict: 'falseRefusal',
    },
    { title: 'no answer, though the meter answered in time', heard: { status: 504 }, verdict: 'lost' },
    {
      title: 'no answer, though it came in time, when it may be to another token',
      heard: { status: 504 },
      isDoubtful: true,
      verdict: 'withheld',
    },
    {
      title: 'no answer, though it came in time and named its token beside another that is open',
      heard: { status: 504 },
      fact: { meter: 28 },
      isDoubtful: true,
      verdict: 'lost',
    },
    {
      title: 'no answer, as the meter answered late',
      heard: { status: 504 },
      fact: { answeredAt: 110 + answerTimeoutMs + 1 },
      verdict: 'right',
    },
    {
      title: 'no answer of a silent meter',
      heard: { status: 504 },
      fact: { answeredAt: null, said: null },
      verdict: 'right',
    },
    {
      title: "the vendor's no",
      heard: { status: 502 },
      fact: { vendor: 'turned down', answeredAt: null, said: null },
      verdict: 'right',
    },
    { title: 'a token that another call had booked', heard: { status: 409 }, verdict: 'right' },
    {
      title: 'a token that is said to be booked, and is not',
      heard: { status: 409 },
      fact: { said: 'refusal' },
      verdict: 'lost',
    },
    { title: 'a house that is full', heard: { status: 503 }, fact: null, verdict: 'busy' },
    { title: 'a call that nobody answered', heard: { status: null }, verdict: 'hanging' },
  ];
  for (const { title, heard: differing, fact: found, isDoubtful, verdict } of cases) {
    it(`calls ${title} ${verdict}`, () => {
      const given = found === null ? undefined : { ...fact, ...found };
      assert.equal(verdictOf({ ...heard, ...differing }, given, isDoubtful), verdict);
    });
  }

  it('counts them, with examples of the wrong ones', () => {
    const { verdicts, examples } = judge([heard, { ...heard, status: 504 }], new Map([[7, fact]]));
    assert.deepEqual([verdicts.right, verdicts.lost, verdicts.crossed], [1, 1, 0]);
    assert.match(examples.join(), /^lost: /);
  });

  it('knows by the meter which tokens were open when another one came', () => {
    const second: Fact = { ...fact, token: 8, calledAt: 300, acceptedAt: 310, answeredAt: 700 };
    const unheard: Heard = { ...heard, token: 8, status: 504 };
    const told = (first: Partial<Fact>): Verdict | undefined => {
      const facts = new Map([
        [7, { ...fact, ...first }],
        [8, second],
      ]);
      const { withheld, lost } = judge([unheard], facts).verdicts;
      return withheld === 1 ? 'withheld' : lost === 1 ? 'lost' : undefined;
    };
    assert.equal(told({ answeredAt: 299 }), 'lost');
    assert.equal(told({ answeredAt: 301 }), 'withheld');
    assert.equal(told({ answeredAt: null }), 'withheld');
    assert.equal(told({ answeredAt: 200, againAt: 301 }), 'withheld');
    assert.equal(told({ answeredAt: null, vendor: 'turned down' }), 'lost');
  });

  it("takes the meter's own time from what the caller waited", () => {
    assert.equal(overheadOf(heard, fact), 30);
    assert.equal(overheadOf({ ...heard, status: 504 }, fact), undefined);
  });
});

describe('The plan of injections', () => {
  it('gives each token units of its own, so that an answer says whose it is', () => {
    const units = new Set(Array.from({ length: 100_000 }, (_, token) => unitsOf(token)));
    assert.equal(units.size, 100_000);
  });

  it('has tokens and meter numbers that pass every check', () => {
    for (const n of [0, 1, 999, 100_000]) assert.equal(checkToken(tokenOf(n)).outcome, 'valid');
    for (let meter = 0; meter < 2_000; meter += 1)
      assert.equal(checkMeterNumber(numberOf(meter)).outcome, 'valid', numberOf(meter));
  });

  it("has answers of all four wordings, in the product's own forms", () => {
    const wordings = new Set<string>();
    for (let meter = 0; meter < 40; meter += 1) {
      wordings.add(wordingOf(meter));
      const answer = readAnswer(answerOf({ token: 3, meter }, 'success'));
      assert.ok(answer.outcome === 'success');
      assert.equal(answer.units, unitsOf(3));
      assert.equal(readAnswer(answerOf({ token: 3, meter }, 'expired')).outcome, 'expired');
    }
    assert.equal(wordings.size, 4);
  });

  it('calls one meter after the other at an even pace', () => {
    const calls = evenCalls({ first: 5, count: 10, rate: 100, meters: 7, answerMs: 1_000 });
    assert.deepEqual(
      calls.map(({ token, meter, dueMs }) => [token, meter, dueMs]),
      Array.from({ length: 10 }, (_, index) => [5 + index, (5 + index) % 7, index * 10]),
    );
    assert.ok(calls.every(({ delayMs }) => delayMs >= 800 && delayMs <= 1_200));
  });

  it('repeats itself by chance in the same way, with every course and some tokens twice', () => {
    const order = { first: 0, count: 3_000, rate: 200, meters: 500 };
    const calls = randomCalls(order);
    assert.deepEqual(calls, randomCalls(order));
    assert.equal(new Set(calls.map(({ course }) => course)).size, 7);
    const tokens = new Set(calls.map(({ token }) => token));
    assert.ok(tokens.size < calls.length);
    assert.ok(calls.every(({ course, delayMs }) => (course === 'late') === delayMs > answerTimeoutMs));
  });
});
