import { Type, type TSchema } from 'typebox';
import type { AllocationAnswer, ReversalAnswer, SettlementAnswer } from '../../ledger/desk.js';
import { newTariff, type TariffVersion } from '../../ledger/tariffs.js';
import {
  paymentChannels,
  paymentStatuses,
  suspenseStatuses,
  type ListedPayment,
} from '../../payments/payment-list.js';
import { json, moment, nullOr } from './answers.js';
import { listParameters, named, pageOf, query, someOf } from './lists.js';
import { ref, type Paths, type Schemas } from './model.js';
import { refusals } from './refusals.js';

const currency = Type.String({ pattern: '^[A-Z]{3}$', description: 'ISO 4217.' });
const meterId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,50}$' });

const payment = {
  type: Type.String({ enum: ['payment', 'prompt'], description: 'Money, or only the request for it.' }),
  id: Type.Integer({ description: 'Unique within its type.' }),
  status: Type.String({ enum: [...paymentStatuses] }),
  channel: Type.String({ enum: [...paymentChannels] }),
  receipt: nullOr(Type.String()),
  amount: nullOr(Type.Number()),
  currency: nullOr(currency),
  meter_number: nullOr(Type.String(), 'As the payer wrote it.'),
  meter_id: nullOr(Type.String(), 'The meter that was credited.'),
  phone: nullOr(Type.String(), 'As the provider sent it: in full, masked or hashed.'),
  units: nullOr(Type.Number(), 'What it bought; negative of a reversal.'),
  result_code: nullOr(Type.String()),
  reason: nullOr(Type.String()),
  checkout_request_id: nullOr(Type.String()),
  paid_at: nullOr(moment(), 'By the provider.'),
  received_at: moment(),
} satisfies Record<keyof ListedPayment, TSchema>;

const allocation = {
  id: Type.Integer(),
  meter_id: meterId,
  amount: Type.Number(),
  currency,
  units: Type.Number({ description: 'What it bought.' }),
  balance: Type.Number({ description: 'Of the meter after it, in units.' }),
  payment_fee: Type.Number(),
  arrears_paid: Type.Number(),
  credit: Type.Number({ description: 'Left over for the next payment.' }),
  tariff_plan: Type.String(),
} satisfies Record<keyof AllocationAnswer, TSchema>;

const settlement = {
  receipt: Type.String({ description: 'The disputed payment’s own, else DISPUTED- with its id.' }),
  ...allocation,
} satisfies Record<keyof SettlementAnswer, TSchema>;

const reversal = {
  id: Type.Integer({ description: 'Of the new payment that says so.' }),
  receipt: Type.String(),
  amount: Type.Number(),
  currency,
  meter_id: nullOr(meterId, 'null: the money was in suspense.'),
  units: Type.Number({ description: 'What the meter lost.' }),
  balance: nullOr(Type.Number(), 'Of the meter after it, below 0 when the units are used up.'),
  arrears: Type.Number({ description: 'What the customer owes after it.' }),
} satisfies Record<keyof ReversalAnswer, TSchema>;

const tariff = {
  id: Type.String(),
  plan: Type.String(),
  currency,
  time_zone: Type.String({ description: 'Where its months begin.' }),
  valid_from: moment(),
  current: Type.Boolean({ description: 'Sales of now are made under it.' }),
  payment_fee: Type.Number({ minimum: 0 }),
  monthly_fee: Type.Number({ minimum: 0 }),
  arrears_share: Type.Number({ minimum: 0, maximum: 1 }),
  blocks: Type.Array(Type.Object({ from: Type.Number(), price: Type.Number() }), {
    description: 'Price of each unit of a month beyond `from`.',
  }),
  created_by: Type.String(),
  created_at: moment(),
} satisfies Record<keyof TariffVersion, TSchema>;

export const moneySchemas: Schemas = {
  Payment: Type.Object(payment),
  PaymentPage: pageOf('Payment'),
  AllocationRequest: Type.Object({
    meter_number: Type.String({ maxLength: 50, description: 'A meter_id or a drn.' }),
  }),
  Allocation: Type.Object(allocation),
  SettlementRequest: Type.Object({
    meter_number: Type.String({ maxLength: 50, description: 'A meter_id or a drn.' }),
    amount: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        description: 'What was really paid; without it what the payment says.',
      }),
    ),
    reason: Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'What was found out; for the audit log.',
    }),
  }),
  Settlement: Type.Object(settlement),
  ReversalRequest: Type.Object({ reason: Type.Optional(Type.String({ maxLength: 200 })) }),
  Reversal: Type.Object(reversal),
  NewTariff: newTariff,
  Tariff: Type.Object(tariff),
  TariffPage: pageOf('Tariff'),
};

const examplePayment: ListedPayment = {
  type: 'payment',
  id: 17,
  status: 'accepted',
  channel: 'c2b',
  receipt: 'SKL7X2M9QA',
  amount: 100,
  currency: 'KES',
  meter_number: '09000030529',
  meter_id: 'METER001',
  phone: '2547 ***** 126',
  units: 4,
  result_code: null,
  reason: null,
  checkout_request_id: null,
  paid_at: '2026-11-20T12:00:00.000Z',
  received_at: '2026-11-20T12:00:01.204Z',
};

const exampleTariff: TariffVersion = {
  id: '2',
  plan: 'default',
  currency: 'KES',
  time_zone: 'Africa/Nairobi',
  valid_from: '2027-01-01T00:00:00.000Z',
  current: false,
  payment_fee: 0,
  monthly_fee: 50,
  arrears_share: 0.5,
  blocks: [
    { from: 0, price: 20 },
    { from: 50, price: 31.5 },
  ],
  created_by: 'demo',
  created_at: '2026-11-20T12:00:00.000Z',
};

const page = (example: object) => ({ data: [example], page: 1, limit: 20, total: 1 });

export const moneyPaths: Paths = {
  '/api/payments': {
    get: {
      operationId: 'listPayments',
      tags: ['Payments'],
      summary: 'Payments and prompts, by status, meter, receipt and time',
      parameters: [
        ...listParameters(['received_at']),
        someOf('status', 'With one of these, separated by commas.', paymentStatuses),
        query('meter_id', 'Credited to this meter.', Type.String()),
        query('receipt', 'With this receipt, in any case.', Type.String()),
        query('channel', 'By this way only.', Type.String({ enum: [...paymentChannels] })),
        query('start', 'Received from here on; RFC 3339, Unix ms or Unix s.', {
          anyOf: [moment(), Type.Integer()],
        }),
        query('end', 'Received before; RFC 3339, Unix ms or Unix s.', { anyOf: [moment(), Type.Integer()] }),
      ],
      responses: {
        200: {
          description: 'A page of payments, newest first.',
          content: json(ref('PaymentPage'), page(examplePayment)),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
  '/api/admin/payments/{receipt}/reverse': {
    post: {
      operationId: 'reversePayment',
      tags: ['Payments'],
      summary: 'Take a payment back by new entries',
      description: 'Once. The meter is told its new balance, also one below 0.',
      parameters: [named('receipt', 'The provider’s receipt, in any case.', 'SKL7X2M9QA')],
      requestBody: { required: true, content: json(ref('ReversalRequest'), { reason: 'Paid twice' }) },
      responses: {
        200: {
          description: 'Taken back.',
          content: json(ref('Reversal'), {
            id: 18,
            receipt: 'SKL7X2M9QA',
            amount: 100,
            currency: 'KES',
            meter_id: 'METER001',
            units: 4,
            balance: 6.4952,
            arrears: 0,
          } satisfies ReversalAnswer),
        },
        ...refusals(['SCHEMA_INVALID', 'PAYMENT_UNKNOWN', 'PAYMENT_REVERSED'], { body: true }),
      },
    },
  },
  '/api/admin/suspense': {
    get: {
      operationId: 'listSuspense',
      tags: ['Payments'],
      summary: 'Money that found no meter',
      description: 'What still waits, unless `status` says otherwise.',
      parameters: [
        ...listParameters(['received_at']),
        someOf('status', 'With one of these, separated by commas.', suspenseStatuses),
        query('receipt', 'With this receipt, in any case.', Type.String()),
        query('start', 'Received from here on; RFC 3339, Unix ms or Unix s.', {
          anyOf: [moment(), Type.Integer()],
        }),
        query('end', 'Received before; RFC 3339, Unix ms or Unix s.', { anyOf: [moment(), Type.Integer()] }),
      ],
      responses: {
        200: {
          description: 'A page of payments, newest first.',
          content: json(
            ref('PaymentPage'),
            page({
              ...examplePayment,
              status: 'suspense',
              meter_number: 'METER0O1',
              meter_id: null,
              units: null,
            }),
          ),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
  '/api/admin/suspense/{id}/allocate': {
    post: {
      operationId: 'allocateSuspense',
      tags: ['Payments'],
      summary: 'Sell money in suspense to a meter, once',
      parameters: [named('id', 'The payment’s id.', '17')],
      requestBody: {
        required: true,
        content: json(ref('AllocationRequest'), { meter_number: 'METER001' }),
      },
      responses: {
        200: {
          description: 'Sold, by the tariff of the time of payment.',
          content: json(ref('Allocation'), {
            id: 17,
            meter_id: 'METER001',
            amount: 100,
            currency: 'KES',
            units: 4,
            balance: 10.5,
            payment_fee: 0,
            arrears_paid: 0,
            credit: 0,
            tariff_plan: 'default',
          } satisfies AllocationAnswer),
        },
        ...refusals(
          ['SCHEMA_INVALID', 'PAYMENT_UNKNOWN', 'METER_UNKNOWN', 'PAYMENT_ALLOCATED', 'PAYMENT_REVERSED'],
          { body: true },
        ),
      },
    },
  },
  '/api/admin/disputed/{id}/credit': {
    post: {
      operationId: 'creditDisputed',
      tags: ['Payments'],
      summary: 'Credit a disputed payment to a meter, once',
      description:
        'For a payment that does not fit what was known, and turned out to be good money. It stays as it came; a payment of channel operator credits it, and can be reversed.',
      parameters: [named('id', 'The disputed payment’s id.', '18')],
      requestBody: {
        required: true,
        content: json(ref('SettlementRequest'), {
          meter_number: 'METER001',
          amount: 100,
          reason: 'seen in the portal; the phone was lent',
        }),
      },
      responses: {
        200: {
          description:
            'Sold, by the tariff of the time of payment; `id` and `receipt` are the new payment’s.',
          content: json(ref('Settlement'), {
            receipt: 'SKL7X2M9QA',
            id: 19,
            meter_id: 'METER001',
            amount: 100,
            currency: 'KES',
            units: 4,
            balance: 10.5,
            payment_fee: 0,
            arrears_paid: 0,
            credit: 0,
            tariff_plan: 'default',
          } satisfies SettlementAnswer),
        },
        ...refusals(['SCHEMA_INVALID', 'PAYMENT_UNKNOWN', 'METER_UNKNOWN', 'PAYMENT_ALLOCATED'], {
          body: true,
        }),
      },
    },
  },
  '/api/admin/tariffs': {
    get: {
      operationId: 'listTariffs',
      tags: ['Tariffs'],
      summary: 'Tariff plans with all their versions',
      parameters: [
        ...listParameters(['plan']).filter(({ name }) => name !== 'sort' && name !== 'order'),
        query('plan', 'Of this plan only.', Type.String()),
      ],
      responses: {
        200: {
          description: 'A page of versions, by plan, the newest first.',
          content: json(ref('TariffPage'), page(exampleTariff)),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
    post: {
      operationId: 'addTariff',
      tags: ['Tariffs'],
      summary: 'Add a version to a plan, or a plan',
      description:
        'What is sold keeps the version that it was sold under. A device is moved to a plan by PATCH /devices/{id}.',
      requestBody: {
        required: true,
        content: json(ref('NewTariff'), {
          plan: 'default',
          valid_from: '2027-01-01T00:00:00Z',
          blocks: exampleTariff.blocks,
          monthly_fee: 50,
          arrears_share: 0.5,
        }),
      },
      responses: {
        201: { description: 'Added.', content: json(ref('Tariff'), exampleTariff) },
        ...refusals(['TARIFF_INVALID', 'TARIFF_EXISTS'], { body: true }),
      },
    },
  },
};
