import assert from 'node:assert/strict';
import { parseAmount, toCents, type Amount } from '../../src/ledger/money.js';
import { price, type Block, type Order, type Tariff } from '../../src/ledger/tariff.js';
import { chanceOf, type Chance } from './chance.js';

const plain: Tariff = {
  id: '1',
  plan: 'default',
  currency: 'KES',
  timeZone: 'Africa/Nairobi',
  validFrom: new Date(0),
  paymentFee: 0n,
  monthlyFee: 0n,
  arrearsShare: 0n,
  blocks: [{ from: 0n, price: 250_000n }],
};
const stepped: readonly Block[] = [
  { from: 0n, price: 200_000n },
  { from: 500_000n, price: 300_000n },
  { from: 1_000_000n, price: 455_555n },
];

describe('the price', () => {
  const cases: readonly (readonly [
    title: string,
    tariff: Partial<Tariff>,
    order: Partial<Record<'amount' | 'credit' | 'arrears', string>> & { before?: bigint; charged?: boolean },
    expected: Partial<Record<'units' | 'cost' | 'fee' | 'monthly' | 'paid' | 'left', string>>,
  ])[] = [
    ['of 131.25 at 25', {}, { amount: '131.25' }, { units: '5.25', cost: '131.25', left: '0' }],
    [
      'of 100 at 30: the third of a unit is cut off, its money stays',
      { blocks: [{ from: 0n, price: 300_000n }] },
      { amount: '100' },
      { units: '3.3333', cost: '99.999', left: '0.001' },
    ],
    ['of less than a ten-thousandth of a unit', {}, { amount: '0.0024' }, { units: '0', left: '0.0024' }],
    [
      'with the remainder of before',
      {},
      { amount: '0.0024', credit: '0.0001' },
      { units: '0.0001', left: '0' },
    ],
    ['of the first block', { blocks: stepped }, { amount: '1000' }, { units: '50', cost: '1000' }],
    ['into the second block', { blocks: stepped }, { amount: '1030' }, { units: '51', cost: '1030' }],
    [
      'through all blocks',
      { blocks: stepped },
      { amount: '2545.56' },
      { units: '101', cost: '2545.5555', left: '0.0045' },
    ],
    [
      'where the month has come to',
      { blocks: stepped },
      { amount: '60', before: 499_999n },
      { units: '2.0000' },
    ],
    ['beyond the last step', { blocks: stepped }, { amount: '45.5555', before: 9_999_999n }, { units: '1' }],
    [
      'less the fee of each payment',
      { paymentFee: parseAmount('5') },
      { amount: '30' },
      { units: '1', fee: '5' },
    ],
    [
      'less than the fee',
      { paymentFee: parseAmount('5') },
      { amount: '3' },
      { units: '0', fee: '3', left: '0' },
    ],
    [
      'less the fee of the month',
      { monthlyFee: parseAmount('50') },
      { amount: '75' },
      { units: '1', monthly: '50', paid: '50' },
    ],
    [
      'once a month',
      { monthlyFee: parseAmount('50') },
      { amount: '75', charged: true },
      { units: '3', monthly: '0' },
    ],
    [
      'less than the fee of the month: the rest is owed',
      { monthlyFee: parseAmount('50') },
      { amount: '20' },
      { units: '0', monthly: '50', paid: '20', left: '0' },
    ],
    [
      'less the share for arrears',
      { arrearsShare: 3_000n },
      { amount: '100', arrears: '500' },
      { units: '2.8', paid: '30' },
    ],
    [
      'less no more than is owed',
      { arrearsShare: 3_000n },
      { amount: '100', arrears: '12.5' },
      { units: '3.5', paid: '12.5' },
    ],
    ['without arrears', { arrearsShare: 10_000n }, { amount: '100' }, { units: '4', paid: '0' }],
    [
      'less whole cents of arrears',
      { arrearsShare: 3_333n },
      { amount: '10', arrears: '500' },
      { paid: '3.33', units: '0.2668', left: '0' },
    ],
  ];
  for (const [
    title,
    tariff,
    { amount = '0', credit = '0', arrears = '0', before = 0n, charged = false },
    expected,
  ] of cases) {
    it(title, () => {
      const priced = price(
        {
          amount: parseAmount(amount),
          credit: parseAmount(credit),
          arrears: parseAmount(arrears),
          unitsBefore: before,
          monthlyFeeCharged: charged,
        },
        { ...plain, ...tariff },
      );
      const found = {
        units: priced.units * 10_000n,
        cost: priced.energyCost,
        fee: priced.paymentFee,
        monthly: priced.monthlyFee,
        paid: priced.arrearsPaid,
        left: priced.creditAfter,
      };
      for (const [part, value] of Object.entries(expected))
        assert.equal(found[part as keyof typeof found], parseAmount(value), part);
    });
  }

  it('puts every part of the money somewhere, for any tariff and order', () => {
    for (let seed = 1; seed <= 20_000; seed++) {
      const chance = chanceOf(seed);
      const tariff = anyTariff(chance);
      const order = anyOrder(chance, tariff);
      const priced = price(order, tariff);
      const context = `seed ${seed}`;
      const { paymentFee, monthlyFee, arrearsPaid, energyCost, units, blocks, creditAfter } = priced;
      assert.equal(paymentFee + arrearsPaid + energyCost + creditAfter, order.credit + order.amount, context);
      for (const part of [paymentFee, monthlyFee, arrearsPaid, energyCost, units, creditAfter])
        assert.ok(part >= 0n, context);
      assert.ok(paymentFee <= tariff.paymentFee, context);
      assert.ok(arrearsPaid <= order.arrears + monthlyFee, context);
      assert.equal(monthlyFee, order.monthlyFeeCharged ? 0n : tariff.monthlyFee, context);
      assert.equal(toCents(paymentFee) + toCents(arrearsPaid), paymentFee + arrearsPaid, context);
      assert.equal(energyCost, costOf(order.unitsBefore, units, tariff.blocks), context);
      assert.ok(
        creditAfter < priceAt(order.unitsBefore + units, tariff.blocks),
        `${context}: it buys one more`,
      );
      assert.equal(sum(blocks.map((block) => block.units)), units, context);
      assert.equal(sum(blocks.map((block) => block.units * block.price)), energyCost, context);
    }
  });

  it('is the same for two payments as for one of both, where there are no fees', () => {
    for (let seed = 1; seed <= 5_000; seed++) {
      const chance = chanceOf(seed);
      const tariff = { ...plain, blocks: anyBlocks(chance) };
      const order = { ...anyOrder(chance, tariff), arrears: 0n };
      const amount = BigInt(chance.whole(1, 1_000_000)) * 1_000_000n;
      const first = price(order, tariff);
      const second = price(
        { ...order, amount, credit: first.creditAfter, unitsBefore: order.unitsBefore + first.units },
        tariff,
      );
      const both = price({ ...order, amount: order.amount + amount }, tariff);
      assert.equal(first.units + second.units, both.units, `seed ${seed}`);
      assert.equal(second.creditAfter, both.creditAfter, `seed ${seed}`);
    }
  });
});

function anyTariff(chance: Chance): Tariff {
  const cents = (max: number) => (chance.percent(50) ? 0n : BigInt(chance.whole(1, max)) * 1_000_000n);
  return {
    ...plain,
    paymentFee: cents(2_000),
    monthlyFee: cents(20_000),
    arrearsShare: BigInt(chance.pick([0, 10_000, chance.whole(1, 9_999)])),
    blocks: anyBlocks(chance),
  };
}

function anyBlocks(chance: Chance): Block[] {
  const blocks: Block[] = [];
  let from = 0n;
  for (let count = chance.whole(1, 5); count > 0; count--) {
    blocks.push({
      from,
      price: BigInt(chance.pick([chance.whole(100, 999), chance.whole(1_000, 1_000_000)])),
    });
    from += BigInt(chance.pick([1, chance.whole(1, 100), chance.whole(1, 2_000_000)]));
  }
  return blocks;
}

function anyOrder(chance: Chance, { blocks }: Tariff): Order {
  const edge = blocks.at(-1)?.from ?? 0n;
  return {
    amount: BigInt(chance.pick([chance.whole(1, 100), chance.whole(1, 10_000_000)])) * 1_000_000n,
    credit: chance.percent(50) ? 0n : BigInt(chance.whole(1, 50_000_000)),
    arrears: chance.percent(50) ? 0n : BigInt(chance.whole(1, 1_000_000)) * 1_000_000n,
    unitsBefore: chance.pick([
      0n,
      edge,
      edge + BigInt(chance.whole(0, 100)),
      BigInt(chance.whole(0, 3_000_000)),
    ]),
    monthlyFeeCharged: chance.percent(50),
  };
}

/** Said another way than in the code under test: the area under the steps. */
function costOf(before: bigint, units: bigint, blocks: readonly Block[]): Amount {
  const upTo = (end: bigint) =>
    sum(
      blocks.map((block, index) => {
        const next = blocks[index + 1]?.from;
        const top = next !== undefined && next < end ? next : end;
        return top > block.from ? (top - block.from) * block.price : 0n;
      }),
    );
  return upTo(before + units) - upTo(before);
}

function priceAt(position: bigint, blocks: readonly Block[]): bigint {
  return blocks.findLast(({ from }) => from <= position)?.price ?? 0n;
}

function sum(amounts: readonly bigint[]): bigint {
  return amounts.reduce((total, amount) => total + amount, 0n);
}
