import { writtenTime } from '../../payments/provider-values.js';
import type { Decision } from './conduct.js';

/** A prompt as the provider keeps it. */
export interface Prompt {
  readonly checkout: string;
  readonly merchant: string;
  readonly phone: string;
  readonly amount: number;
  readonly reference: string;
  readonly callbackUrl: string;
  readonly decision: Decision;
  /** Of the money, should the customer pay. */
  readonly receipt: string;
  /** When the customer decides. */
  readonly decidesAt: number;
}

/** The result of a prompt as the real provider writes it; a Balance without a Value is no mistake. */
export function stkCallback(prompt: Prompt): object {
  const { merchant, checkout, decision, amount, receipt, phone, decidesAt } = prompt;
  const items = [
    { Name: 'Amount', Value: amount },
    { Name: 'MpesaReceiptNumber', Value: receipt },
    { Name: 'Balance' },
    { Name: 'TransactionDate', Value: Number(writtenTime(decidesAt)) },
    { Name: 'PhoneNumber', Value: Number(phone) },
  ];
  return {
    Body: {
      stkCallback: {
        MerchantRequestID: merchant,
        CheckoutRequestID: checkout,
        ResultCode: Number(decision.code),
        ResultDesc: decision.text,
        ...(decision.code === '0' ? { CallbackMetadata: { Item: items } } : {}),
      },
    },
  };
}

export interface BillPaid {
  readonly type: 'Pay Bill';
  readonly receipt: string;
  readonly at: number;
  /** With two decimals. */
  readonly amount: string;
  readonly shortCode: string;
  readonly account: string;
  /** As it is shown. */
  readonly phone: string;
}

/** What validation and confirmation get: texts throughout. */
export function c2bBody({ type, receipt, at, amount, shortCode, account, phone }: BillPaid): object {
  return {
    TransactionType: type,
    TransID: receipt,
    TransTime: writtenTime(at),
    TransAmount: amount,
    BusinessShortCode: shortCode,
    BillRefNumber: account,
    InvoiceNumber: '',
    OrgAccountBalance: '',
    ThirdPartyTransID: '',
    MSISDN: phone,
    FirstName: 'Wanjiku',
    MiddleName: '',
    LastName: '',
  };
}
