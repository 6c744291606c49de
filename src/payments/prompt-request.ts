import { DomainError, type ErrorDetail } from '../errors.js';
import { phoneNumberOf } from './phone.js';
import { amountOf, isFields } from './provider-values.js';

/** What a caller asks for: POST /api/payments. */
export interface PromptRequest {
  readonly meter_number: string;
  /** Whole units of the currency: providers take no cents for a prompt. */
  readonly amount: number;
  readonly phone_number: string;
}

/** The provider's own limit of one payment. */
export const promptAmountMax = 250_000;

/** @throws DomainError SCHEMA_INVALID naming each field that is wrong */
export function readPromptRequest(body: unknown): PromptRequest {
  const said = isFields(body) ? body : {};
  const details: ErrorDetail[] = [];
  const wrong = (path: string, message: string): void => void details.push({ path, message });
  const { meter_number } = said;
  const isNumber = typeof meter_number === 'string' && /^\s*[A-Za-z0-9_-]{1,50}\s*$/.test(meter_number);
  if (!isNumber) wrong('/meter_number', 'must be a text: a meter_id, or a drn of 11 or 13 digits');
  const amount = Number(amountOf(said['amount']) ?? Number.NaN);
  if (!Number.isInteger(amount) || amount < 1 || amount > promptAmountMax)
    wrong('/amount', `must be a whole number from 1 to ${promptAmountMax}`);
  const phone_number = phoneNumberOf(said['phone_number']);
  if (phone_number === null) wrong('/phone_number', 'must be a phone number such as 254712345678');
  if (!isNumber || phone_number === null || details.length > 0) {
    const fields = details.map(({ path, message }) => `${path.slice(1)} ${message}`).join('; ');
    throw new DomainError('SCHEMA_INVALID', `The request is wrong: ${fields}.`, { details });
  }
  return { meter_number: meter_number.trim(), amount, phone_number };
}
