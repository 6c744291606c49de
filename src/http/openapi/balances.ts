import { Type, type TSchema } from 'typebox';
import type { Drift, PrepaidMeter } from '../../balances/prepaid-meter.js';
import { meterSorts } from '../../balances/prepaid-meters.js';
import type { MeterBalance } from '../../ledger/balance.js';
import type { ChargeAnswer } from '../../ledger/desk.js';
import { statementKinds, type StatementLine, type StatementMoney } from '../../ledger/statement.js';
import { json, moment, nullOr } from './answers.js';
import { listParameters, named, pageOf, query } from './lists.js';
import { ref, type Parameter, type Paths, type Schemas } from './model.js';
import { refusals } from './refusals.js';

const tags = ['Balances'] as const;

const units = (description: string) =>
  Type.Number({ description: `${description} Units, at most 4 decimals.` });
const money = (description: string) => Type.Number({ description });
const meterId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,50}$' });
const currency = Type.String({ pattern: '^[A-Z]{3}$', description: 'ISO 4217.' });

const balance = {
  meter_id: meterId,
  balance: units('Below 0 when energy was used that was not paid for.'),
  updated_at: moment(),
  currency: nullOr(currency, 'null: no money came yet.'),
  credit: money('Left over from the last sale, for the next one.'),
  arrears: money('What the customer owes.'),
  tariff_plan: Type.String(),
  user_id: nullOr(Type.String({ format: 'uuid' }), 'Whose the meter is.'),
} satisfies Record<keyof MeterBalance, TSchema>;

const statementMoney = {
  currency,
  paid: money('By the customer; negative when it was taken back.'),
  energy_cost: money('Of the units.'),
  payment_fee: money('Of this payment.'),
  charged: money('Newly owed: a monthly fee or a charge.'),
  arrears_paid: money('Of what was owed.'),
  blocks: Type.Array(Type.Object({ price: Type.Number(), units: Type.Number() }), {
    description: 'How many units at which price.',
  }),
  tariff_plan: nullOr(Type.String()),
  credit: money('Left over after this line.'),
  arrears: money('Owed after this line.'),
} satisfies Record<keyof StatementMoney, TSchema>;

const line = {
  id: Type.String(),
  kind: Type.String({ enum: [...statementKinds, 'suspense'] }),
  posted_at: moment(),
  occurred_at: Type.String({ format: 'date-time', description: 'By the meter or the provider.' }),
  units: units('What came, or went (negative).'),
  balance: units('After this line.'),
  receipt: nullOr(Type.String()),
  memo: nullOr(Type.String()),
  money: { ...Type.Object(statementMoney), type: ['object', 'null'], description: 'null: consumption.' },
} satisfies Record<keyof StatementLine, TSchema>;

const prepaidMeter = {
  meter_id: meterId,
  name: nullOr(Type.String()),
  drn: nullOr(Type.String()),
  tariff_plan: Type.String(),
  online: Type.Boolean(),
  last_seen_at: nullOr(moment()),
  balance: nullOr(units('Of the ledger.'), 'Of the ledger; null: nothing was paid or consumed yet.'),
  updated_at: nullOr(moment()),
  low: Type.Boolean({ description: 'Below LOW_BALANCE_UNITS.' }),
  meter_balance: nullOr(Type.Number(), 'What the meter last said of itself.'),
  meter_balance_at: nullOr(moment()),
  relay: nullOr(Type.String({ enum: ['on', 'off', null] }), 'On when the meter’s own balance is above 0.'),
  status: nullOr(Type.String()),
  status_message: nullOr(Type.String()),
  status_at: nullOr(moment()),
  wifi_rssi: nullOr(Type.Number(), 'dBm.'),
  command: nullOr(
    Type.String({ enum: ['waiting', 'sent', 'confirmed', null] }),
    'How far the newest balance has come to the meter.',
  ),
  command_at: nullOr(moment()),
  command_attempts: Type.Integer({ minimum: 0 }),
  drifting: Type.Boolean({ description: 'It disagrees with the ledger.' }),
} satisfies Record<keyof PrepaidMeter, TSchema>;

const drift = {
  id: Type.Integer(),
  meter_id: meterId,
  ledger_balance: units('Of the ledger.'),
  meter_balance: units('Of the meter.'),
  occurrences: Type.Integer({ minimum: 1, description: 'How often the meter said so.' }),
  first_at: moment(),
  last_at: moment(),
  resolved_at: nullOr(moment(), 'null: it still disagrees.'),
} satisfies Record<keyof Drift, TSchema>;

const charged = {
  meter_id: meterId,
  amount: money('Newly owed.'),
  currency,
  arrears: money('All that the customer owes now.'),
} satisfies Record<keyof ChargeAnswer, TSchema>;

export const balanceSchemas: Schemas = {
  Balance: Type.Object(balance),
  StatementLine: Type.Object(line),
  StatementPage: pageOf('StatementLine'),
  PrepaidMeter: Type.Object(prepaidMeter),
  PrepaidMeterPage: pageOf('PrepaidMeter'),
  Drift: Type.Object(drift),
  DriftPage: pageOf('Drift'),
  ChargeRequest: Type.Object({
    amount: Type.Union([Type.Number(), Type.String()], { description: 'Above 0, at most 2 decimals.' }),
    memo: Type.String({ minLength: 1, maxLength: 200, description: 'What for.' }),
  }),
  Charge: Type.Object(charged),
};

const exampleBalance: MeterBalance = {
  meter_id: 'METER001',
  balance: 10.4952,
  updated_at: '2026-11-20T12:00:30.211Z',
  currency: 'KES',
  credit: 0,
  arrears: 0,
  tariff_plan: 'default',
  user_id: null,
};

const exampleLine: StatementLine = {
  id: '4711',
  kind: 'sale',
  posted_at: '2026-11-20T12:00:01.204Z',
  occurred_at: '2026-11-20T12:00:00.000Z',
  units: 4,
  balance: 10.5,
  receipt: 'SKL7X2M9QA',
  memo: null,
  money: {
    currency: 'KES',
    paid: 100,
    energy_cost: 100,
    payment_fee: 0,
    charged: 0,
    arrears_paid: 0,
    blocks: [{ price: 25, units: 4 }],
    tariff_plan: 'default',
    credit: 0,
    arrears: 0,
  },
};

const exampleMeter: PrepaidMeter = {
  meter_id: 'METER001',
  name: 'Kitchen',
  drn: '09000030529',
  tariff_plan: 'default',
  online: true,
  last_seen_at: '2026-11-20T12:00:00.000Z',
  balance: 10.4952,
  updated_at: '2026-11-20T12:00:30.211Z',
  low: false,
  meter_balance: 10.4952,
  meter_balance_at: '2026-11-20T12:00:30.208Z',
  relay: 'on',
  status: 'online',
  status_message: 'Device operating normally',
  status_at: '2026-11-20T12:00:00.000Z',
  wifi_rssi: -65,
  command: 'confirmed',
  command_at: '2026-11-20T12:00:01.260Z',
  command_attempts: 0,
  drifting: false,
};

const exampleDrift: Drift = {
  id: 3,
  meter_id: 'METER001',
  ledger_balance: 10.4952,
  meter_balance: 12,
  occurrences: 2,
  first_at: '2026-11-20T12:00:30.211Z',
  last_at: '2026-11-20T12:01:00.214Z',
  resolved_at: null,
};

const which: Parameter = named('meter_id', 'Its meter_id or its drn.', 'METER001');
/** RFC 3339, Unix milliseconds or Unix seconds ([M-11]). */
const time = { anyOf: [moment(), Type.Integer()] };

export const balancePaths: Paths = {
  '/api/meters/{meter_id}/balance': {
    get: {
      operationId: 'getBalance',
      tags,
      summary: 'What a meter holds',
      parameters: [which],
      responses: {
        200: {
          description: 'The sum of its entries in the ledger.',
          content: json(ref('Balance'), exampleBalance),
        },
        ...refusals(['METER_UNKNOWN']),
      },
    },
  },
  '/api/meters/{meter_id}/statement': {
    get: {
      operationId: 'getStatement',
      tags,
      summary: 'Line by line, with the balance after each',
      parameters: [
        which,
        ...listParameters(['posted_at']),
        query('kind', 'Of this kind only.', Type.String({ enum: [...statementKinds] })),
        query('start', 'Posted from here on; RFC 3339, Unix ms or Unix s.', time),
        query('end', 'Posted before; RFC 3339, Unix ms or Unix s.', time),
      ],
      responses: {
        200: {
          description: 'A page of lines, newest first.',
          content: json(ref('StatementPage'), { data: [exampleLine], page: 1, limit: 20, total: 1 }),
        },
        ...refusals(['SCHEMA_INVALID', 'METER_UNKNOWN']),
      },
    },
  },
  '/api/admin/meters/{meter_id}/charge': {
    post: {
      operationId: 'chargeMeter',
      tags,
      summary: 'Let a customer owe something',
      description: 'Later payments pay it off by the share that the tariff says.',
      parameters: [which],
      requestBody: {
        required: true,
        content: json(ref('ChargeRequest'), { amount: 500, memo: 'New meter' }),
      },
      responses: {
        201: {
          description: 'Entered.',
          content: json(ref('Charge'), { meter_id: 'METER001', amount: 500, currency: 'KES', arrears: 500 }),
        },
        ...refusals(['SCHEMA_INVALID', 'METER_UNKNOWN'], { body: true }),
      },
    },
  },
  '/api/admin/balances': {
    get: {
      operationId: 'listBalances',
      tags,
      summary: 'Prepaid meters with balance, relay and the way of the balance to them',
      parameters: [
        ...listParameters(meterSorts, 'asc'),
        query('search', 'Part of the meter_id or the name, or the whole drn.', Type.String()),
        query('low', 'true: only those whose balance is low.', Type.Boolean()),
      ],
      responses: {
        200: {
          description: 'A page of meters.',
          content: json(ref('PrepaidMeterPage'), { data: [exampleMeter], page: 1, limit: 20, total: 1 }),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
  '/api/admin/balances/drifts': {
    get: {
      operationId: 'listDrifts',
      tags,
      summary: 'Meters that disagreed with the ledger',
      description: 'Each was told the true balance. One row for as long as it disagreed.',
      parameters: [
        ...listParameters(['last_at']),
        query('meter_id', 'Of this meter only.', Type.String()),
        query('open', 'true: those that still disagree.', Type.Boolean()),
      ],
      responses: {
        200: {
          description: 'A page of drifts, the latest first.',
          content: json(ref('DriftPage'), { data: [exampleDrift], page: 1, limit: 20, total: 1 }),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
};
