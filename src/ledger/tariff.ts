import { toCents, type Amount } from './money.js';

/** Units of a calendar month beyond `from` (ten-thousandths of a unit) cost `price` each (ten-thousandths of money). */
export interface Block {
  readonly from: bigint;
  readonly price: bigint;
}

/** One version of a plan: it never changes, and a sale keeps it. */
export interface Tariff {
  readonly id: string;
  readonly plan: string;
  readonly currency: string;
  /** Where its months begin. */
  readonly timeZone: string;
  readonly validFrom: Date;
  /** Of each payment. */
  readonly paymentFee: Amount;
  /** Of each calendar month with a sale, owed from the first sale on. */
  readonly monthlyFee: Amount;
  /** Ten-thousandths of what the fees leave, that go to arrears. */
  readonly arrearsShare: bigint;
  /** Ascending, the first from 0. */
  readonly blocks: readonly Block[];
}

/** What is known when money comes. */
export interface Order {
  readonly amount: Amount;
  /** The remainder of earlier sales. */
  readonly credit: Amount;
  /** What the customer owes, not negative. */
  readonly arrears: Amount;
  /** Ten-thousandths of a unit that the meter bought in this month before. */
  readonly unitsBefore: bigint;
  readonly monthlyFeeCharged: boolean;
}

/** Where every part of the money goes: credit + amount = paymentFee + arrearsPaid + energyCost + creditAfter. */
export interface Priced {
  readonly paymentFee: Amount;
  /** Newly owed; paid as far as the money goes, within arrearsPaid. */
  readonly monthlyFee: Amount;
  readonly arrearsPaid: Amount;
  readonly energyCost: Amount;
  /** Ten-thousandths of a unit. */
  readonly units: bigint;
  readonly blocks: readonly { readonly price: bigint; readonly units: bigint }[];
  readonly creditAfter: Amount;
}

/**
 * [P-5] in whole numbers: fees, then arrears, then energy by blocks, rounded down to 0.0001 unit; what is left over
 * stays with the customer. Fees and arrears are paid in whole cents.
 */
export function price(order: Order, tariff: Tariff): Priced {
  let left = order.credit + order.amount;
  const paymentFee = least(tariff.paymentFee, toCents(left));
  left -= paymentFee;
  const monthlyFee = order.monthlyFeeCharged ? 0n : tariff.monthlyFee;
  const feePaid = least(monthlyFee, toCents(left));
  left -= feePaid;
  const owed = order.arrears + monthlyFee - feePaid;
  const sharePaid = least(owed, toCents((left * tariff.arrearsShare) / 10_000n));
  left -= sharePaid;
  const { units, energyCost, blocks } = buy(left, order.unitsBefore, tariff.blocks);
  return {
    paymentFee,
    monthlyFee,
    arrearsPaid: feePaid + sharePaid,
    energyCost,
    units,
    blocks,
    creditAfter: left - energyCost,
  };
}

/** As much energy as the money buys, from block to block. */
function buy(money: Amount, unitsBefore: bigint, blocks: readonly Block[]) {
  let left = money;
  let position = unitsBefore;
  const bought: { price: bigint; units: bigint }[] = [];
  for (const [index, block] of blocks.entries()) {
    const end = blocks[index + 1]?.from;
    if (end !== undefined && position >= end) continue;
    // A ten-thousandth of a unit at `price` ten-thousandths of money costs exactly `price` times 1e-8.
    const affordable = left / block.price;
    const units = end === undefined ? affordable : least(affordable, end - position);
    if (units > 0n) bought.push({ price: block.price, units });
    left -= units * block.price;
    position += units;
    if (end === undefined || position < end) break;
  }
  return { units: position - unitsBefore, energyCost: money - left, blocks: bought };
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
