import { randomBytes } from 'node:crypto';
import { amountOf, textOf } from '../../payments/provider-values.js';
import { c2bBody, stkCallback, type Prompt } from './bodies.js';
import { createCallbacks, type SentCallback } from './callbacks.js';
import { decisionOf, journeyOf, type Mishaps } from './conduct.js';
import { phoneIn, type PhoneForm } from './phone-form.js';
import { createReceipts } from './receipts.js';
import {
  amountMax,
  invalid,
  isRefusal,
  isSigned,
  readPush,
  readUrls,
  wrongCredentials,
  type Account,
  type Fields,
  type Refusal,
  type Urls,
} from './requests.js';

export interface SimulatorSettings extends Account {
  readonly consumerKey: string;
  readonly consumerSecret: string;
  /** Of what happens by chance. */
  readonly seed: number;
  /** From 0 to 1: how many customers do not pay. */
  readonly refusing: number;
  /** How long a customer takes to answer a prompt, in ms. */
  readonly answerMs: number;
  /** How long a callback is on its way, in ms. */
  readonly delay: { readonly minMs: number; readonly maxMs: number };
  readonly mishaps: Mishaps;
  /** Whether money of a prompt is confirmed as a bill payment, too, as for short codes with registered URLs. */
  readonly bothChannels: boolean;
  readonly phoneForm: PhoneForm;
  /** Registered from the start. */
  readonly urls?: Urls | undefined;
}

/** Money that the simulated customers have parted with. */
export interface TakenPayment {
  readonly receipt: string;
  readonly amount: string;
  readonly phone: string;
  readonly account: string;
  readonly taken_at: number;
}

export type BillOutcome =
  | { readonly outcome: 'paid'; readonly receipt: string; readonly amount: string }
  /** `code` is what our validation said, or the field that is no payment. */
  | { readonly outcome: 'refused'; readonly code: string };

export interface PaymentSimulator {
  /** A bearer token, or undefined for a wrong login. */
  token(authorization: string | undefined): { access_token: string; expires_in: string } | undefined;
  isKnownToken(authorization: string | undefined): boolean;
  push(said: Fields): object | Refusal;
  query(said: Fields): object | Refusal;
  registerUrls(said: Fields): object | Refusal;
  /** A customer pays to the short code, with the meter number as the account. */
  payBill(said: Fields): Promise<BillOutcome>;
  /** The last ones, oldest first, at most 1,000. */
  taken(): readonly TakenPayment[];
  /** Callbacks that are still to be sent or answered. */
  readonly open: number;
  close(): Promise<void>;
}

/** As many prompts are remembered, and as many callbacks may be on their way. */
const promptsMax = 10_000;
const takenMax = 1_000;
const tokenMs = 3_599_000;
const tokensMax = 100;
/** The real one gives up on a validation after about eight seconds. */
const validationMs = 8_000;

/** The provider as we know it: what it takes, refuses and sends, with customers that act by a seed. */
export function createPaymentSimulator(
  settings: SimulatorSettings,
  onSent: (callback: SentCallback) => void = () => undefined,
): PaymentSimulator {
  const { seed, mishaps, delay, shortCode } = settings;
  const callbacks = createCallbacks(onSent);
  const receipts = createReceipts(seed);
  const tokens = new Map<string, number>();
  const prompts = new Map<string, Prompt>();
  const taken: TakenPayment[] = [];
  let urls = settings.urls;
  let count = 0;

  const isBusy = (): boolean => callbacks.open >= promptsMax;

  function take(payment: TakenPayment): void {
    taken.push(payment);
    if (taken.length > takenMax) taken.shift();
  }

  function arrivals(name: string, afterMs: number): number[] {
    return journeyOf(seed, name, mishaps, delay).arrivals.map((ms) => ms + afterMs);
  }

  /** `name` decides its way, so that a seed plays the same mishaps every time. */
  function confirm(name: string, payment: TakenPayment, afterMs: number): void {
    if (urls === undefined) return;
    const { receipt, amount, phone, account, taken_at } = payment;
    const shown = phoneIn(settings.phoneForm, phone);
    callbacks.send({
      kind: 'c2b-confirmation',
      url: urls.confirmation,
      body: c2bBody({ type: 'Pay Bill', receipt, at: taken_at, amount, shortCode, account, phone: shown }),
      receipt,
      result_code: '0',
      arrivals: arrivals(`c2b of ${name}`, afterMs),
    });
  }

  function settle(name: string, prompt: Prompt): void {
    const { callbackUrl, receipt, decision, amount, phone, reference, decidesAt } = prompt;
    const isPaid = decision.code === '0';
    callbacks.send({
      kind: 'stk',
      url: callbackUrl,
      body: stkCallback(prompt),
      receipt: isPaid ? receipt : null,
      result_code: decision.code,
      arrivals: arrivals(`stk of ${name}`, settings.answerMs),
    });
    if (!isPaid) return;
    const payment = { receipt, amount: `${amount}.00`, phone, account: reference, taken_at: decidesAt };
    take(payment);
    if (settings.bothChannels) confirm(name, payment, settings.answerMs);
  }

  return {
    token(authorization) {
      const wanted = Buffer.from(`${settings.consumerKey}:${settings.consumerSecret}`).toString('base64');
      if (authorization !== `Basic ${wanted}`) return undefined;
      const access_token = randomBytes(14).toString('hex');
      tokens.set(access_token, Date.now() + tokenMs);
      const [oldest] = tokens.keys();
      if (tokens.size > tokensMax && oldest !== undefined) tokens.delete(oldest);
      return { access_token, expires_in: String(tokenMs / 1000) };
    },
    isKnownToken(authorization) {
      const token = authorization?.replace(/^Bearer /, '') ?? '';
      return (tokens.get(token) ?? 0) > Date.now();
    },
    push(said) {
      const request = readPush(said, settings);
      if (isRefusal(request)) return request;
      if (isBusy()) return spikeArrest;
      count += 1;
      const now = Date.now();
      const checkout = `ws_CO_${now}${String(count).padStart(6, '0')}`;
      const name = `prompt ${count}`;
      const prompt: Prompt = {
        ...request,
        checkout,
        merchant: `${seed}-${now}-${count}`,
        decision: decisionOf(seed, name, request.phone, settings.refusing),
        receipt: receipts.next(),
        decidesAt: now + settings.answerMs,
      };
      prompts.set(checkout, prompt);
      const [oldest] = prompts.keys();
      if (prompts.size > promptsMax && oldest !== undefined) prompts.delete(oldest);
      settle(name, prompt);
      return {
        MerchantRequestID: prompt.merchant,
        CheckoutRequestID: checkout,
        ResponseCode: '0',
        ResponseDescription: 'Success. Request accepted for processing',
        CustomerMessage: 'Success. Request accepted for processing',
      };
    },
    query(said) {
      if (!isSigned(said, settings)) return wrongCredentials;
      const prompt = prompts.get(textOf(said['CheckoutRequestID']) ?? '');
      if (prompt === undefined) return invalid('CheckoutRequestID');
      if (Date.now() < prompt.decidesAt) return beingProcessed;
      return {
        ResponseCode: '0',
        ResponseDescription: 'The service request has been accepted successsfully',
        MerchantRequestID: prompt.merchant,
        CheckoutRequestID: prompt.checkout,
        ResultCode: prompt.decision.code,
        ResultDesc: prompt.decision.text,
      };
    },
    registerUrls(said) {
      const wanted = readUrls(said, settings);
      if (isRefusal(wanted)) return wanted;
      urls = wanted;
      count += 1;
      return {
        OriginatorCoversationID: `${seed}-${count}`,
        ResponseCode: '0',
        ResponseDescription: 'success',
      };
    },
    async payBill(said) {
      const phone = textOf(said['MSISDN']) ?? '';
      const amount = amountOf(said['Amount']);
      const account = textOf(said['BillRefNumber'], 100) ?? '';
      if (!/^254\d{9}$/.test(phone)) return { outcome: 'refused', code: 'MSISDN' };
      if (amount === null || Number(amount) > amountMax) return { outcome: 'refused', code: 'Amount' };
      if (urls === undefined) return { outcome: 'refused', code: 'no registered URLs' };
      if (isBusy()) return { outcome: 'refused', code: spikeArrest.errorCode };
      const payment = { receipt: receipts.next(), amount, phone, account, taken_at: Date.now() };
      const code = await validate(payment);
      if (code !== '0') return { outcome: 'refused', code };
      take(payment);
      count += 1;
      confirm(`bill ${count}`, payment, 0);
      return { outcome: 'paid', receipt: payment.receipt, amount };
    },
    taken: () => taken,
    get open() {
      return callbacks.open;
    },
    close: () => callbacks.close(),
  };

  async function validate({ receipt, amount, phone, account, taken_at }: TakenPayment): Promise<string> {
    if (urls?.validation == null) return '0';
    const shown = phoneIn(settings.phoneForm, phone);
    const body = c2bBody({
      type: 'Pay Bill',
      receipt,
      at: taken_at,
      amount,
      shortCode,
      account,
      phone: shown,
    });
    const answer = await callbacks.ask(urls.validation, body, validationMs);
    const said = answer?.status === 200 ? (answer.body as { ResultCode?: unknown } | undefined) : undefined;
    const code = textOf(said?.ResultCode);
    return code ?? (urls.unanswered === 'Completed' ? '0' : 'no answer');
  }
}

const spikeArrest: Refusal = { status: 429, errorCode: '429.001.01', errorMessage: 'Spike arrest violation' };

const beingProcessed: Refusal = {
  status: 500,
  errorCode: '500.001.1001',
  errorMessage: 'The transaction is being processed',
};
