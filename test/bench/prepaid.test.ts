import assert from 'node:assert/strict';
import type { StepResult } from './load/load.js';
import { prepaidUnits, remainingOf, reportOf, timeOf } from './load/reading-plan.js';
import { compareBooks, isRight, type ExpectedBook, type FoundBook } from './prepaid/books.js';
import { expectedBooks } from './prepaid/expected.js';
import { callbacksOf, paymentOf, unitsPerMoney, type Callback } from './prepaid/payments.js';

const initial = 1_000_000;
const none = {
  metersWrong: 0,
  paidMissing: 0,
  usedMissing: 0,
  paidTwice: 0,
  usedTwice: 0,
  overwrittenLess: 0,
  overwrittenMore: 0,
};

describe('The comparing of books', () => {
  const expected: ExpectedBook = { paid: 400, paidMost: 400, used: 48, usedMost: 48 };
  const cases: {
    title: string;
    expected?: Partial<ExpectedBook>;
    found: FoundBook | undefined;
    faults: Partial<typeof none>;
  }[] = [
    { title: 'books that are right', found: { paid: 400, used: 48, balance: initial + 352 }, faults: {} },
    {
      title: 'a payment credited twice',
      found: { paid: 800, used: 48, balance: initial + 752 },
      faults: { paidTwice: 400, metersWrong: 1 },
    },
    {
      title: 'an accepted payment that is nowhere',
      found: { paid: 0, used: 48, balance: initial - 48 },
      faults: { paidMissing: 400, metersWrong: 1 },
    },
    {
      title: 'a payment that a report overwrote',
      found: { paid: 400, used: 48, balance: initial - 48 },
      faults: { overwrittenLess: 400, metersWrong: 1 },
    },
    {
      title: 'a report that a payment overwrote',
      found: { paid: 400, used: 48, balance: initial + 400 },
      faults: { overwrittenMore: 48, metersWrong: 1 },
    },
    {
      title: 'a report deducted twice',
      found: { paid: 400, used: 96, balance: initial + 304 },
      faults: { usedTwice: 48, metersWrong: 1 },
    },
    {
      title: 'a meter that is not there',
      found: undefined,
      faults: { paidMissing: 400, usedMissing: 48, metersWrong: 1 },
    },
    {
      title: 'a payment without an answer, written',
      expected: { paid: 0 },
      found: { paid: 400, used: 48, balance: initial + 352 },
      faults: {},
    },
    {
      title: 'a payment without an answer, not written',
      expected: { paid: 0 },
      found: { paid: 0, used: 48, balance: initial - 48 },
      faults: {},
    },
  ];
  for (const { title, expected: other, found, faults } of cases) {
    it(`tells ${title}`, () => {
      const books = new Map(found === undefined ? [] : [['M', found]]);
      const difference = compareBooks(new Map([['M', { ...expected, ...other }]]), books, initial);
      assert.deepEqual(difference, { meters: 1, ...none, ...faults });
      assert.equal(isRight(difference), Object.keys(faults).length === 0);
    });
  }
});

describe('The payments of the bench', () => {
  const plan = { meterIds: ['A', 'B', 'C', 'D'], paidAt: 1_763_700_000_000 };

  it('are each told of at least once, three of ten twice, with the receipt and the amount unchanged', () => {
    const told = new Map<number, Callback[]>();
    for (const callback of callbacksOf(plan, 1_000, 500))
      told.set(callback.n, [...(told.get(callback.n) ?? []), callback]);
    assert.equal(told.size, 500);
    assert.equal([...told.values()].filter(({ length }) => length === 2).length, 150);
    for (const [n, callbacks] of told) {
      const receipt = `RK${String(n).padStart(8, '0')}`;
      for (const { body } of callbacks) {
        assert.ok(body.includes(receipt), body);
        assert.match(
          body,
          new RegExp(`"(Amount","Value":${10 + (n % 90)}|TransAmount":"${10 + (n % 90)}\\.00")`),
        );
      }
    }
  });

  it('come for one meter at the same time, and through both channels', () => {
    const payments = Array.from({ length: 10 }, (_, n) => paymentOf(plan, n));
    assert.equal(payments[5]?.meterId, payments[6]?.meterId);
    const ofFive = callbacksOf(plan, 0, 10).filter(({ n }) => n === 5);
    assert.deepEqual(
      ofFive.map(({ path }) => path.includes('/stk/')),
      [true, false],
    );
  });

  it('are expected once however often they were told of, and as possible when nobody answered', () => {
    const callbacks = callbacksOf(plan, 0, 10);
    const others = callbacks.filter(({ n }) => n === 1);
    const accepted = callbacks.filter(({ n }) => n !== 1);
    const books = expectedBooks(plan, [{ accepted, others }], []);
    const paid = Array.from({ length: 10 }, (_, n) => paymentOf(plan, n)).filter(
      ({ meterId }) => meterId === 'B',
    );
    const sum = paid.reduce((all, { amount }) => all + amount * unitsPerMoney, 0);
    assert.ok(paid.some(({ n }) => n === 1));
    assert.deepEqual(books.get('B'), { paid: sum - 11 * unitsPerMoney, paidMost: sum, used: 0, usedMost: 0 });
  });
});

describe('The reports of the bench', () => {
  const plan = { base: 1_000, readingsMax: 100, isPrepaid: true } as const;

  it('repeat every tenth, byte for byte, and count down by the others', () => {
    assert.deepEqual([8, 9, 10].map(reportOf), [8, 8, 10]);
    assert.equal(timeOf(plan, 9), timeOf(plan, 8));
    assert.equal(remainingOf(9), remainingOf(8));
    assert.equal(remainingOf(8) - remainingOf(10), prepaidUnits);
  });

  const cases: {
    title: string;
    steps: readonly (readonly [number, number, readonly number[]])[];
    used: number;
    most: number;
  }[] = [
    { title: 'all acknowledged', steps: [[0, 10, []]], used: 9, most: 9 },
    { title: 'a repeat acknowledged, its report not', steps: [[0, 10, [8]]], used: 9, most: 9 },
    { title: 'neither acknowledged', steps: [[0, 10, [8, 9]]], used: 8, most: 9 },
    {
      title: 'the repeat in the next step',
      steps: [
        [0, 9, [8]],
        [9, 1, []],
      ],
      used: 9,
      most: 9,
    },
    { title: 'no repeat sent', steps: [[0, 9, [8]]], used: 8, most: 9 },
  ];
  it('are expected beside those of the generator', () => {
    const book = expectedBooks({ meterIds: ['A'], paidAt: 0 }, [], [], new Map([['A', 96]])).get('A');
    assert.deepEqual(book, { paid: 0, paidMost: 0, used: 96, usedMost: 96 });
  });

  for (const { title, steps, used, most } of cases) {
    it(`are expected once: ${title}`, () => {
      const results = steps.map(
        ([first, count, missing]) => ({ meters: [{ first, count, missing }] }) as unknown as StepResult,
      );
      const book = expectedBooks({ meterIds: ['A'], paidAt: 0 }, [], results).get('A');
      assert.deepEqual(book, {
        paid: 0,
        paidMost: 0,
        used: used * prepaidUnits,
        usedMost: most * prepaidUnits,
      });
    });
  }
});
