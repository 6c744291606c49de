import { textOf } from '../../payments/provider-values.js';

/** What the provider has against a request, in its own words. */
export interface Refusal {
  readonly status: number;
  readonly errorCode: string;
  readonly errorMessage: string;
}

export type Fields = Readonly<Record<string, unknown>>;

export interface Account {
  readonly shortCode: string;
  readonly passkey: string;
}

export interface PushRequest {
  readonly phone: string;
  readonly amount: number;
  readonly reference: string;
  readonly callbackUrl: string;
}

/** The most that one payment can be. */
export const amountMax = 250_000;

/** A push as the provider takes it: whole amounts, a full phone number, short texts. */
export function readPush(said: Fields, account: Account): PushRequest | Refusal {
  const phone = textOf(said['PhoneNumber']) ?? '';
  const amount = Number(textOf(said['Amount']));
  const reference = textOf(said['AccountReference']) ?? '';
  const callbackUrl = textOf(said['CallBackURL'], 1_000) ?? '';
  const description = textOf(said['TransactionDesc']) ?? '';
  if (!isSigned(said, account)) return wrongCredentials;
  if (!/^(CustomerPayBillOnline|CustomerBuyGoodsOnline)$/.test(String(said['TransactionType'])))
    return invalid('TransactionType');
  if (!Number.isInteger(amount) || amount < 1 || amount > amountMax) return invalid('Amount');
  if (!/^254\d{9}$/.test(phone)) return invalid('PhoneNumber');
  if (!isHttpUrl(callbackUrl)) return invalid('CallBackURL');
  if (reference === '' || reference.length > 12) return invalid('AccountReference');
  if (description === '' || description.length > 13) return invalid('TransactionDesc');
  return { phone, amount, reference, callbackUrl };
}

/** `Password` is base64(short code + passkey + Timestamp). */
export function isSigned(said: Fields, { shortCode, passkey }: Account): boolean {
  const timestamp = textOf(said['Timestamp']) ?? '';
  const password = Buffer.from(shortCode + passkey + timestamp).toString('base64');
  const ours =
    textOf(said['BusinessShortCode']) === shortCode && textOf(said['Password'], 1_000) === password;
  return ours && /^\d{14}$/.test(timestamp);
}

export interface Urls {
  readonly confirmation: string;
  readonly validation: string | null;
  /** What happens when the validation does not answer. */
  readonly unanswered: 'Completed' | 'Cancelled';
}

export function readUrls(said: Fields, { shortCode }: Account): Urls | Refusal {
  if (textOf(said['ShortCode']) !== shortCode) return invalid('ShortCode');
  const confirmation = textOf(said['ConfirmationURL'], 1_000) ?? '';
  const validation = textOf(said['ValidationURL'], 1_000);
  if (!isHttpUrl(confirmation)) return invalid('ConfirmationURL');
  if (validation !== null && !isHttpUrl(validation)) return invalid('ValidationURL');
  const unanswered = said['ResponseType'];
  if (unanswered !== 'Completed' && unanswered !== 'Cancelled') return invalid('ResponseType');
  return { confirmation, validation, unanswered };
}

export function invalid(field: string): Refusal {
  return { status: 400, errorCode: '400.002.02', errorMessage: `Bad Request - Invalid ${field}` };
}

export const wrongCredentials: Refusal = {
  status: 400,
  errorCode: '500.001.1001',
  errorMessage: 'Wrong credentials',
};

export function isRefusal(value: object): value is Refusal {
  return 'errorCode' in value;
}

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}
