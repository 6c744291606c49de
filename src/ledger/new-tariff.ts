import { Ajv } from 'ajv';
import { Type } from 'typebox';
import { DomainError, type ErrorDetail } from '../errors.js';
import { moment } from '../http/page.js';
import { parseDecimal } from './money.js';
import type { NewTariffRow } from './tariff-store.js';

const priceMax = 1_000_000;
const feeMax = 100_000_000;

/** What makes a version of a plan; the API's document shows this very schema. */
export const newTariff = Type.Object({
  plan: Type.String({ pattern: '^[A-Za-z0-9_-]{1,50}$', description: 'A new name makes a new plan.' }),
  valid_from: Type.Optional(
    Type.Union([Type.String(), Type.Number()], {
      description: 'Now when absent, never in the past: what is sold stays as it was sold.',
    }),
  ),
  price_per_unit: Type.Optional(
    Type.Number({ minimum: 0.01, maximum: priceMax, description: 'Of a flat tariff; else blocks.' }),
  ),
  blocks: Type.Optional(
    Type.Array(
      Type.Object({
        from: Type.Number({ minimum: 0, maximum: 1_000_000, description: 'Units of the month.' }),
        price: Type.Number({ minimum: 0.01, maximum: priceMax, description: 'Of each unit beyond.' }),
      }),
      { minItems: 1, maxItems: 20, description: 'Rising from 0.' },
    ),
  ),
  payment_fee: Type.Optional(Type.Number({ minimum: 0, maximum: feeMax, description: 'Of each payment.' })),
  monthly_fee: Type.Optional(
    Type.Number({ minimum: 0, maximum: feeMax, description: 'Of each calendar month with a sale.' }),
  ),
  arrears_share: Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: 1,
      description: 'Part of what the fees leave, that goes to arrears.',
    }),
  ),
  time_zone: Type.Optional(
    Type.String({ maxLength: 64, description: "Where months begin; the default plan's when absent." }),
  ),
  currency: Type.Optional(
    Type.String({ pattern: '^[A-Z]{3}$', description: 'That of the installation, if stated at all.' }),
  ),
});

interface NewTariff {
  readonly plan: string;
  readonly valid_from?: string | number;
  readonly price_per_unit?: number;
  readonly blocks?: readonly { readonly from: number; readonly price: number }[];
  readonly payment_fee?: number;
  readonly monthly_fee?: number;
  readonly arrears_share?: number;
  readonly time_zone?: string;
  readonly currency?: string;
}

/** What a version has unless it says otherwise. */
interface House {
  readonly currency: string;
  readonly timeZone: string;
}

const ajv = new Ajv({ allErrors: true });
const isNewTariff = ajv.compile<NewTariff>(newTariff);

/** A clock of the caller's may be a little behind. */
const behindMaxMs = 60_000;

/**
 * @param house undefined: this is the first version of all, and says itself what the house has
 * @param now Unix ms
 * @throws DomainError TARIFF_INVALID naming each field
 */
export function asNewTariff(input: unknown, house: House | undefined, now: number): NewTariffRow {
  if (!isNewTariff(input)) {
    throw invalid(
      (isNewTariff.errors ?? []).map(({ instancePath, message = 'is not valid', params }) => {
        const missing: unknown = params['missingProperty'];
        return typeof missing === 'string'
          ? { path: `/${missing}`, message: 'is missing' }
          : { path: instancePath, message };
      }),
    );
  }
  const wrong: ErrorDetail[] = [];
  const { payment_fee = 0, monthly_fee = 0, arrears_share = 0, price_per_unit: flat } = input;
  const blocks = input.blocks ?? (flat === undefined ? [] : [{ from: 0, price: flat }]);
  if ((input.blocks === undefined) === (flat === undefined))
    wrong.push({ path: '/blocks', message: 'or price_per_unit must be given, not both' });
  else checkBlocks(blocks, wrong);
  decimals('/payment_fee', payment_fee, 2, wrong);
  decimals('/monthly_fee', monthly_fee, 2, wrong);
  decimals('/arrears_share', arrears_share, 4, wrong);
  const validFrom = moment({ valid_from: input.valid_from }, 'valid_from', wrong) ?? now;
  if (validFrom < now - behindMaxMs)
    wrong.push({ path: '/valid_from', message: 'has passed: what is sold stays as it was sold' });
  const { currency = house?.currency ?? '', time_zone: timeZone = house?.timeZone ?? '' } = input;
  if (!isTimeZone(timeZone)) wrong.push({ path: '/time_zone', message: 'must be an IANA time zone' });
  if (house !== undefined && currency !== house.currency)
    wrong.push({ path: '/currency', message: `must be ${house.currency}, as all of this installation` });
  if (house === undefined && currency === '')
    wrong.push({ path: '/currency', message: 'must be given by the first tariff' });
  if (house === undefined && input.plan !== 'default')
    wrong.push({ path: '/plan', message: 'must be default: there is no tariff yet' });
  if (wrong.length > 0) throw invalid(wrong);
  return {
    plan: input.plan,
    currency,
    time_zone: timeZone,
    valid_from: new Date(validFrom).toISOString(),
    payment_fee: String(payment_fee),
    monthly_fee: String(monthly_fee),
    arrears_share: String(arrears_share),
    blocks: blocks.map(({ from, price }) => ({ from, price })),
  };
}

function checkBlocks(blocks: NonNullable<NewTariff['blocks']>, wrong: ErrorDetail[]): void {
  for (const [index, { from, price }] of blocks.entries()) {
    decimals(`/blocks/${index}/from`, from, 4, wrong);
    decimals(`/blocks/${index}/price`, price, 4, wrong);
    const before = blocks[index - 1];
    if (before === undefined ? from !== 0 : from <= before.from) {
      const message = before === undefined ? 'must be 0: the first block begins there' : 'must rise';
      wrong.push({ path: `/blocks/${index}/from`, message });
    }
  }
}

function decimals(path: string, value: number, decimalsMax: number, wrong: ErrorDetail[]): void {
  if (parseDecimal(String(value), decimalsMax) === undefined)
    wrong.push({ path, message: `must have at most ${decimalsMax} decimals` });
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

function invalid(details: readonly ErrorDetail[]): DomainError {
  const sentence = details.map(({ path, message }) => `${path.slice(1) || 'the body'} ${message}`).join('; ');
  return new DomainError('TARIFF_INVALID', `The tariff is not valid: ${sentence}.`, { details });
}
