import { createAccessTokens } from './access-token.js';
import { askProvider, refusalOf, unavailable, type Said } from './provider-http.js';
import { textOf, writtenTime } from './provider-values.js';

export interface ProviderSettings {
  /** Without a slash at its end. */
  readonly url: string;
  readonly consumerKey: string;
  readonly consumerSecret: string;
  readonly shortCode: string;
  readonly passkey: string;
  /** Of one request. */
  readonly timeoutMs: number;
}

export interface PromptOrder {
  /** `254712345678` */
  readonly phone_number: string;
  /** Whole units of the currency, as the provider takes them. */
  readonly amount: number;
  /** What the customer sees as the account, at most 12 characters. */
  readonly reference: string;
  readonly callbackUrl: string;
}

export type PromptAnswer =
  | {
      readonly outcome: 'prompted';
      readonly checkout_request_id: string;
      readonly merchant_request_id: string | null;
      readonly message: string;
    }
  /** The provider says no: the customer has not been asked. */
  | { readonly outcome: 'refused'; readonly code: string; readonly reason: string };

export type PromptFate =
  | { readonly outcome: 'pending' }
  | {
      readonly outcome: 'settled';
      /** `0`: paid. */
      readonly result_code: string;
      readonly result_desc: string | null;
      /** Most answers have none. */
      readonly receipt: string | null;
      readonly details: Readonly<Record<string, unknown>>;
    };

/** The provider's API as we use it. Each throws DomainError PAYMENT_UNAVAILABLE when no usable answer comes in time. */
export interface Provider {
  readonly shortCode: string;
  /** Asks a customer's phone for money. After a failure nobody knows whether the phone rings. */
  prompt(order: PromptOrder, signal: AbortSignal): Promise<PromptAnswer>;
  /** What became of a prompt. */
  fateOf(checkout_request_id: string, signal: AbortSignal): Promise<PromptFate>;
}

/** The transaction is being processed: the customer still has it. */
const pendingErrors = new Set(['500.001.1001', '500.003.02']);
const pendingResults = new Set(['4999', '500.001.1001']);
/** An access token that is no longer taken. */
const tokenErrors = new Set(['404.001.03', '400.003.01']);

export function createProvider(settings: ProviderSettings, now: () => number = Date.now): Provider {
  const { url, shortCode, passkey, timeoutMs } = settings;
  const tokens = createAccessTokens(settings, now);

  /** A token that was revoked before its time costs one more request, once. */
  async function post(path: string, body: object, signal: AbortSignal): Promise<Said> {
    for (let attempt = 1; ; attempt++) {
      const token = await tokens.current(signal);
      const authorization = `Bearer ${token}`;
      const said = await askProvider(url + path, { method: 'POST', authorization, body, signal, timeoutMs });
      const stale = said.status === 401 || tokenErrors.has(String(said.body['errorCode']));
      if (!stale || attempt > 1) return said;
      tokens.forget(token);
    }
  }

  function signed(): { BusinessShortCode: string; Password: string; Timestamp: string } {
    const Timestamp = writtenTime(now());
    const Password = Buffer.from(shortCode + passkey + Timestamp).toString('base64');
    return { BusinessShortCode: shortCode, Password, Timestamp };
  }

  return {
    shortCode,
    async prompt({ phone_number, amount, reference, callbackUrl }, signal) {
      const said = await post(
        '/mpesa/stkpush/v1/processrequest',
        {
          ...signed(),
          TransactionType: 'CustomerPayBillOnline',
          Amount: amount,
          PartyA: phone_number,
          PartyB: shortCode,
          PhoneNumber: phone_number,
          CallBackURL: callbackUrl,
          AccountReference: reference,
          TransactionDesc: 'Electricity',
        },
        signal,
      );
      const checkout_request_id = textOf(said.body['CheckoutRequestID'], 100);
      if (said.status === 200 && String(said.body['ResponseCode']) === '0' && checkout_request_id !== null) {
        return {
          outcome: 'prompted',
          checkout_request_id,
          merchant_request_id: textOf(said.body['MerchantRequestID'], 100),
          message: textOf(said.body['CustomerMessage']) ?? 'The request is on its way to the phone.',
        };
      }
      // A fault of the provider's own says nothing about the phone.
      if (said.status >= 500) throw unavailable(`failed (${refusalOf(said)})`);
      const code = textOf(said.body['errorCode'] ?? said.body['ResponseCode'], 50) ?? String(said.status);
      return { outcome: 'refused', code, reason: refusalOf(said) };
    },
    async fateOf(checkout_request_id, signal) {
      const body = { ...signed(), CheckoutRequestID: checkout_request_id };
      const said = await post('/mpesa/stkpushquery/v1/query', body, signal);
      if (pendingErrors.has(String(said.body['errorCode']))) return { outcome: 'pending' };
      const result_code = textOf(said.body['ResultCode'], 20);
      if (said.status !== 200 || result_code === null) throw unavailable(`did not tell (${refusalOf(said)})`);
      if (pendingResults.has(result_code)) return { outcome: 'pending' };
      return {
        outcome: 'settled',
        result_code,
        result_desc: textOf(said.body['ResultDesc'], 500),
        receipt: textOf(said.body['MpesaReceiptNumber'], 50),
        details: { body: said.body },
      };
    },
  };
}
