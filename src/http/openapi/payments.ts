import { Type, type TSchema } from 'typebox';
import type { ProviderAnswer } from '../../payments/intake.js';
import { promptAmountMax, type PromptRequest } from '../../payments/prompt-request.js';
import type { StartedPrompt } from '../../payments/prompts.js';
import { json, moment, nullOr } from './answers.js';
import { named } from './lists.js';
import { ref, type Answers, type Operation, type Paths, type Schemas } from './model.js';
import { refusals, refusalsOf } from './refusals.js';

const tags = ['Payments'] as const;

const request = {
  meter_number: Type.String({ description: 'Its meter_id or its drn.' }),
  amount: Type.Integer({ minimum: 1, maximum: promptAmountMax, description: 'Whole units of the currency.' }),
  phone_number: Type.String({ description: '`254712345678`; `0712345678` is Kenyan.' }),
} satisfies Record<keyof PromptRequest, TSchema>;

const prompt = {
  checkout_request_id: Type.String({ description: 'What the provider calls the prompt.' }),
  merchant_request_id: nullOr(Type.String()),
  state: Type.Literal('open'),
  meter_number: Type.String(),
  meter_id: Type.String(),
  amount: Type.Integer(),
  currency: Type.String(),
  phone_number: Type.String(),
  requested_at: moment(),
  message: Type.String({ description: 'The provider’s sentence for the customer.' }),
} satisfies Record<keyof StartedPrompt, TSchema>;

const item = Type.Object({
  Name: Type.String(),
  Value: Type.Optional(Type.Union([Type.String(), Type.Number(), Type.Null()])),
});

export const paymentSchemas: Schemas = {
  NewPrompt: Type.Object(request),
  Prompt: Type.Object(prompt),
  StkResult: Type.Object({
    Body: Type.Object({
      stkCallback: Type.Object({
        MerchantRequestID: Type.Optional(Type.String()),
        CheckoutRequestID: Type.String(),
        ResultCode: Type.Union([Type.Integer(), Type.String()], { description: '0: paid.' }),
        ResultDesc: Type.Optional(Type.String()),
        CallbackMetadata: Type.Optional(
          Type.Object(
            { Item: Type.Array(item) },
            { description: 'Read by Name: Amount, MpesaReceiptNumber, TransactionDate, PhoneNumber.' },
          ),
        ),
      }),
    }),
  }),
  C2bPayment: Type.Object({
    TransID: Type.String({ description: 'The receipt.' }),
    TransTime: Type.Optional(Type.String({ description: '`20261121083000`, East Africa Time.' })),
    TransAmount: Type.Union([Type.String(), Type.Number()]),
    BusinessShortCode: Type.Optional(Type.Union([Type.String(), Type.Number()])),
    BillRefNumber: Type.Optional(Type.String({ description: 'The meter number.' })),
    MSISDN: Type.Optional(Type.String({ description: 'In full, masked or hashed.' })),
  }),
  ProviderAccepted: Type.Object({ ResultCode: Type.Literal(0), ResultDesc: Type.Literal('Accepted') }),
  BillVerdict: Type.Object({
    ResultCode: Type.String({
      enum: ['0', 'C2B00012', 'C2B00013', 'C2B00016'],
      description: '0: it may be paid; no such meter; no such amount; anything else.',
    }),
    ResultDesc: Type.String({ enum: ['Accepted', 'Rejected'] }),
  }),
};

const examplePrompt: StartedPrompt = {
  checkout_request_id: 'ws_CO_191220191020363925',
  merchant_request_id: '29115-34620561-1',
  state: 'open',
  meter_number: '09000030529',
  meter_id: 'METER001',
  amount: 100,
  currency: 'KES',
  phone_number: '254712345678',
  requested_at: '2026-11-21T05:30:00.000Z',
  message: 'Success. Request accepted for processing',
};

const exampleResult = {
  Body: {
    stkCallback: {
      MerchantRequestID: '29115-34620561-1',
      CheckoutRequestID: 'ws_CO_191220191020363925',
      ResultCode: 0,
      ResultDesc: 'The service request is processed successfully.',
      CallbackMetadata: {
        Item: [
          { Name: 'Amount', Value: 100 },
          { Name: 'MpesaReceiptNumber', Value: 'NLJ7RT61SV' },
          { Name: 'Balance' },
          { Name: 'TransactionDate', Value: 20261121083000 },
          { Name: 'PhoneNumber', Value: 254712345678 },
        ],
      },
    },
  },
};

const exampleBill = {
  TransactionType: 'Pay Bill',
  TransID: 'RKTQDM7W6S',
  TransTime: '20261121083000',
  TransAmount: '100.00',
  BusinessShortCode: '600638',
  BillRefNumber: 'METER001',
  MSISDN: '2547*****678',
};

const exampleAccepted: ProviderAnswer = { ResultCode: 0, ResultDesc: 'Accepted' };
const exampleVerdict: ProviderAnswer = { ResultCode: 'C2B00012', ResultDesc: 'Rejected' };

const description = `For the payment provider, who does not log in: the last part of the path is a secret, and callers may be
limited to a list of addresses. At most 64 KiB. The answer leaves after the commit; the same callback again changes
nothing and gets the same answer.`;

/** Nobody is asked to log in here. */
const ofCallbacks = [
  'BAD_REQUEST',
  'FORBIDDEN',
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'INTERNAL',
  'DATABASE_UNAVAILABLE',
] as const;

const accepted: Answers = {
  200: {
    description: 'Kept, whatever became of it.',
    content: json(ref('ProviderAccepted'), exampleAccepted),
  },
  ...refusalsOf(['SCHEMA_INVALID', ...ofCallbacks]),
};

export const paymentPaths: Paths = {
  '/api/payments': {
    post: {
      operationId: 'requestPayment',
      tags,
      summary: 'Ask a customer’s phone for money',
      description: 'Nothing is paid yet: what becomes of it comes as a callback, or is asked for later.',
      requestBody: {
        required: true,
        content: json(ref('NewPrompt'), {
          meter_number: '09000030529',
          amount: 100,
          phone_number: '254712345678',
        }),
      },
      responses: {
        202: { description: 'The phone rings.', content: json(ref('Prompt'), examplePrompt) },
        ...refusals(['SCHEMA_INVALID', 'METER_UNKNOWN', 'PAYMENT_UNAVAILABLE', 'PAYMENT_NOT_SET_UP'], {
          body: true,
        }),
      },
    },
  },
  '/api/payments/stk/{secret}': callback('receivePromptResult', 'The result of a prompt', {
    content: json(ref('StkResult'), exampleResult),
    responses: accepted,
  }),
  '/api/payments/c2b/validation/{secret}': callback('validateBill', 'Whether a bill may be paid', {
    content: json(ref('C2bPayment'), exampleBill),
    responses: {
      200: { description: 'What to tell the payer.', content: json(ref('BillVerdict'), exampleVerdict) },
      ...refusalsOf(ofCallbacks),
    },
  }),
  '/api/payments/c2b/confirmation/{secret}': callback('receiveBill', 'A bill that was paid', {
    content: json(ref('C2bPayment'), exampleBill),
    responses: accepted,
  }),
};

function callback(
  operationId: string,
  summary: string,
  { content, responses }: { content: ReturnType<typeof json>; responses: Answers },
): { post: Operation } {
  const secret = named('secret', 'PAYMENT_CALLBACK_SECRET.', 'a-secret-that-nobody-guesses');
  return {
    post: {
      operationId,
      tags,
      summary,
      description,
      security: [],
      parameters: [secret],
      requestBody: { required: true, content },
      responses,
    },
  };
}
