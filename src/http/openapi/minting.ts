import { Type } from 'typebox';
import { mintStates, type MintAnswer, type MintRequest } from '../../minting/mint-request.js';
import { mintableChoices, unmintedSorts, unmintedSpan, walletSorts } from '../../minting/unminted.js';
import { json, moment, nullOr } from './answers.js';
import { listParameters, named, pageOf, query, someOf, span } from './lists.js';
import { ref, type Parameter, type Paths, type Schema, type Schemas } from './model.js';
import { refusals } from './refusals.js';

const tags = ['Minting'] as const;
const id = '5f6c7c1e-2b1f-4a7e-8a0b-7f0d3b1c9e21';

const kwh = Type.Number({ description: 'In kWh.' });
const state = Type.String({
  enum: [...mintStates],
  description: 'waiting: no yes or no yet. refused: the service said no. abandoned: it said nothing in time.',
});
const signature = nullOr(Type.String({ description: 'Of the transaction, as the service says.' }));
const amount = Type.Object({ readings: Type.Integer({ minimum: 0 }), kwh });

const readingFields = {
  reading_id: Type.Integer(),
  meter_id: Type.String(),
  user_id: nullOr(Type.String({ format: 'uuid' })),
  kwh_amount: kwh,
  reading_timestamp: moment(),
};

const day = Type.String({ format: 'date', description: 'A day of UTC.' });

export const mintingSchemas: Schemas = {
  NewMint: Type.Object({
    reading_id: Type.Integer({ minimum: 1, description: 'The id of a stored reading.' }),
    again: Type.Optional(Type.Boolean({ description: 'Tries once more what the service refused.' })),
  }),
  MintRequest: Type.Object({
    id: Type.String({ format: 'uuid' }),
    ...readingFields,
    wallet_address: Type.String(),
    idempotency_key: Type.String({ description: 'Of this reading, for ever.' }),
    state,
    in_doubt: Type.Boolean({ description: 'The service may have minted it; it is asked first.' }),
    attempts: Type.Integer({ minimum: 0 }),
    reason: nullOr(Type.String({ description: 'Why it has not been minted yet.' })),
    tx_signature: signature,
    caller: Type.String(),
    requested_at: moment(),
    next_at: nullOr(Type.String({ format: 'date-time', description: 'The next attempt.' })),
    deadline_at: moment(),
    finished_at: nullOr(Type.String({ format: 'date-time' })),
  }),
  Mint: Type.Object({
    reading_id: Type.Integer(),
    state,
    tx_signature: signature,
    request: Type.Union([ref('MintRequest'), Type.Null()], {
      description: 'Null for a reading that was minted without Meterflow.',
    }),
  }),
  UnmintedReading: Type.Object({
    ...readingFields,
    wallet_address: nullOr(Type.String({ description: 'The reading’s own, else its owner’s of now.' })),
    submitted_at: moment(),
    mintable: Type.Boolean(),
    reason: nullOr(Type.String({ description: 'Why it is not: mock or no_wallet.' })),
    request_state: nullOr(Type.String({ description: 'Of its mint request; null: there is none.' })),
  }),
  UnmintedWallet: Type.Object({
    wallet_address: nullOr(Type.String()),
    readings: Type.Integer({ minimum: 1 }),
    meters: Type.Integer({ minimum: 1 }),
    kwh,
    first_day: day,
    last_day: day,
  }),
};

/** A page, and what all pages come to. */
function pageWithTotals(name: string): Schema {
  const { properties } = pageOf(name) as unknown as {
    properties: Parameters<typeof Type.Object>[0];
  };
  return Type.Object({
    ...properties,
    start: moment(),
    end: moment(),
    totals: amount,
    not_mintable: Type.Object({ mock: amount, no_wallet: amount }),
  });
}

const exampleRequest: MintRequest = {
  id,
  reading_id: 4711,
  meter_id: 'METER001',
  reading_timestamp: '2026-11-20T12:00:00.000Z',
  user_id: null,
  wallet_address: '7YWHMfk9JZe0LM0g1ZauHuiSxhI',
  kwh_amount: 1.25,
  idempotency_key: 'reading-METER001-1795176000000000',
  state: 'minted',
  in_doubt: false,
  attempts: 1,
  reason: null,
  tx_signature: '5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnb',
  caller: 'demo',
  requested_at: '2026-11-21T06:00:00.000Z',
  next_at: null,
  deadline_at: '2026-11-22T06:00:00.000Z',
  finished_at: '2026-11-21T06:00:00.250Z',
};

const exampleMint: MintAnswer = {
  reading_id: 4711,
  state: 'minted',
  tx_signature: exampleRequest.tx_signature,
  request: exampleRequest,
};

const exampleWaiting: MintAnswer = {
  ...exampleMint,
  state: 'waiting',
  tx_signature: null,
  request: {
    ...exampleRequest,
    state: 'waiting',
    attempts: 0,
    tx_signature: null,
    next_at: exampleRequest.requested_at,
    finished_at: null,
  },
};

const totals = {
  start: '2026-10-21T06:00:00.000Z',
  end: '2026-11-22T06:00:00.000Z',
  totals: { readings: 1, kwh: 1.25 },
  not_mintable: { mock: { readings: 0, kwh: 0 }, no_wallet: { readings: 12, kwh: 8.5 } },
};

const wallet = '7YWHMfk9JZe0LM0g1ZauHuiSxhI';
const exampleUnminted = {
  reading_id: 4711,
  meter_id: 'METER001',
  user_id: null,
  wallet_address: wallet,
  kwh_amount: 1.25,
  reading_timestamp: '2026-11-20T12:00:00.000Z',
  submitted_at: '2026-11-20T12:00:01.000Z',
  mintable: true,
  reason: null,
  request_state: null,
};

const days = `${unmintedSpan.daysDefault} days before the end; at most ${unmintedSpan.daysMax} days before it`;

function filters(): Parameter[] {
  return [
    query('wallet_address', 'Only for this wallet.', Type.String()),
    query('meter_id', 'Only of this meter.', Type.String()),
    query(
      'mintable',
      'Those of mock devices and of nobody with a wallet are not.',
      Type.String({ enum: [...mintableChoices], default: 'true' }),
    ),
    ...span(`Readings from this time on; unset: ${days}`, 'And before this one; unset: now'),
  ];
}

const unminted =
  '`totals` and `not_mintable` are of the whole span and the filters, whatever `mintable` says.';

export const mintingPaths: Paths = {
  '/api/admin/meters/unminted': {
    get: {
      operationId: 'listUnminted',
      tags,
      summary: 'Readings that were not minted',
      description: unminted,
      parameters: [...listParameters(unmintedSorts), ...filters()],
      responses: {
        200: {
          description: 'A page of them.',
          content: json(pageWithTotals('UnmintedReading'), {
            data: [exampleUnminted],
            page: 1,
            limit: 20,
            total: 1,
            ...totals,
          }),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
  '/api/admin/meters/unminted/wallets': {
    get: {
      operationId: 'listUnmintedWallets',
      tags,
      summary: 'What each wallet has to come',
      description: unminted,
      parameters: [...listParameters(walletSorts), ...filters()],
      responses: {
        200: {
          description: 'A page of them.',
          content: json(pageWithTotals('UnmintedWallet'), {
            data: [
              {
                wallet_address: wallet,
                readings: 1,
                meters: 1,
                kwh: 1.25,
                first_day: '2026-11-20',
                last_day: '2026-11-20',
              },
            ],
            page: 1,
            limit: 20,
            total: 1,
            ...totals,
          }),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
  '/api/admin/meters/mint-from-reading': {
    post: {
      operationId: 'mintFromReading',
      tags,
      summary: 'Have a reading minted, once',
      description:
        'The same reading again is the same request, and never a second mint. Ask again for what became of it, or listen for MeterReadingMinted on /ws.',
      requestBody: { required: true, content: json(ref('NewMint'), { reading_id: 4711 }) },
      responses: {
        200: { description: 'It is minted.', content: json(ref('Mint'), exampleMint) },
        202: {
          description: 'It is on its way to the minting service.',
          content: json(ref('Mint'), exampleWaiting),
        },
        ...refusals(
          [
            'SCHEMA_INVALID',
            'READING_UNKNOWN',
            'MINT_REFUSED',
            'READING_OF_MOCK',
            'WALLET_MISSING',
            'MINTING_NOT_SET_UP',
          ],
          { body: true },
        ),
      },
    },
  },
  '/api/admin/meters/mint-requests': {
    get: {
      operationId: 'listMintRequests',
      tags,
      summary: 'Readings that were handed over for minting, the latest first',
      parameters: [
        ...listParameters(['requested_at']),
        someOf('state', 'What became of it.', mintStates),
        query('meter_id', 'Only of this meter.', Type.String()),
        query('wallet_address', 'Only for this wallet.', Type.String()),
        ...span('Requested from this time on', 'And before this one'),
      ],
      responses: {
        200: {
          description: 'A page of them.',
          content: json(pageOf('MintRequest'), { data: [exampleRequest], page: 1, limit: 20, total: 1 }),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
  '/api/admin/meters/mint-requests/{id}': {
    get: {
      operationId: 'getMintRequest',
      tags,
      summary: 'One of them',
      parameters: [named('id', 'Its id.', id)],
      responses: {
        200: { description: 'As it stands now.', content: json(ref('MintRequest'), exampleRequest) },
        ...refusals(['MINT_REQUEST_UNKNOWN']),
      },
    },
  },
};
