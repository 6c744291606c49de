/**
 * What the ledger counts in: whole 1e-8 of a currency or of a unit (1 kWh). A price of 4 decimals times units of 4
 * decimals is exact in it; nothing of money or energy is ever a float.
 */
export type Amount = bigint;

const scale = 8;
/** 1e-8 of one ten-thousandth of a unit, the smallest energy that is sold or consumed. */
const perTenThousandth = 10_000n;
const perCent = 1_000_000n;
/** More than anybody pays at once; with the least price it still fits every column. */
const moneyMax: Amount = 99_999_999n * 100n * perCent + 99n * perCent;

/**
 * A decimal text of at most 8 decimals, as PostgreSQL writes a `numeric(24, 8)`.
 * @throws RangeError for anything else
 */
export function parseAmount(text: string): Amount {
  const amount = parseDecimal(text, scale);
  if (amount === undefined) throw new RangeError(`${text} is not an amount of at most ${scale} decimals`);
  return amount;
}

/** `12.5`: all its decimals without zeros at the end, for people and for `::numeric`. */
export function formatAmount(amount: Amount): string {
  const digits = (amount < 0n ? -amount : amount).toString().padStart(scale + 1, '0');
  const decimals = digits.slice(-scale).replace(/0+$/, '');
  const sign = amount < 0n ? '-' : '';
  return `${sign}${digits.slice(0, -scale)}${decimals === '' ? '' : `.${decimals}`}`;
}

/** Money as a callback or a request states it: a number or a text, above 0, at most 2 decimals; else undefined. */
export function parseMoney(value: unknown): Amount | undefined {
  if (typeof value !== 'number' && typeof value !== 'string') return undefined;
  const amount = parseDecimal(String(value), 2);
  if (amount === undefined || amount <= 0n || amount > moneyMax) return undefined;
  return amount;
}

/** Cut off to the cent, towards zero: what can be owed, deducted or shown as paid. */
export function toCents(amount: Amount): Amount {
  return amount - (amount % perCent);
}

/** Up to the next whole cent. */
export function upToCents(amount: Amount): Amount {
  const cents = toCents(amount);
  return amount > cents ? cents + perCent : cents;
}

/** For an answer in JSON (section 4 of the API: at most 2 decimals), rounded half away from zero. */
export function moneyNumber(amount: Amount): number {
  const half = amount < 0n ? -perCent / 2n : perCent / 2n;
  return Number((amount + half) / perCent) / 100;
}

/** For an answer in JSON: units of at most 4 decimals. */
export function unitsNumber(amount: Amount): number {
  return Number(amount / perTenThousandth) / 10_000;
}

/** Energy comes and goes in whole ten-thousandths of a unit. */
export function fromTenThousandths(energy: number | bigint): Amount {
  return BigInt(energy) * perTenThousandth;
}

/** The decimal text in 1e-8; undefined when it is none, or has more decimals. */
export function parseDecimal(text: string, decimalsMax: number): Amount | undefined {
  const match = /^(-?)(\d{1,16})(?:\.(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const [, sign = '', whole = '', decimals = ''] = match;
  // 25.500 is 25.5, as PostgreSQL and spreadsheets write it.
  if (decimals.replace(/0+$/, '').length > decimalsMax) return undefined;
  const amount = BigInt(whole + decimals.slice(0, scale).padEnd(scale, '0'));
  return sign === '-' ? -amount : amount;
}
