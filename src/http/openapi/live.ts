import { Type, type TSchema } from 'typebox';
import {
  balanceReasons,
  type ConnectionStatus,
  type DataOf,
  type SaidStatus,
} from '../../live/event-data.js';
import { eventNames, type EventName } from '../../live/event.js';
import { metersMax } from '../../live/selection.js';
import { moment, nullOr } from './answers.js';
import { query, someOf } from './lists.js';
import { ref, type Paths, type Schemas } from './model.js';
import { refusals } from './refusals.js';

const meter = Type.String({ pattern: '^[A-Za-z0-9_-]{1,50}$' });
const units = (description: string): TSchema => Type.Number({ description });
const money = (description: string): TSchema => Type.Number({ minimum: 0, description });

const reading = {
  meter_id: meter,
  user_id: nullOr(Type.String(), 'Whose meter it is.'),
  kwh_amount: Type.Number({ minimum: 0 }),
  timestamp: { ...moment(), description: 'Of the reading.' },
  source: Type.String({ examples: ['mqtt', 'http', 'batch'] }),
} satisfies Record<keyof DataOf['MeterReadingSubmitted'], TSchema>;

const minted = {
  reading_id: Type.Integer(),
  tx_signature: Type.String(),
  amount: Type.Number({ minimum: 0, description: 'kWh.' }),
  meter_id: nullOr(meter),
} satisfies Record<keyof DataOf['MeterReadingMinted'], TSchema>;

const balance = {
  meter_id: meter,
  balance: units('What the meter has now.'),
  updated_at: moment(),
  reason: Type.String({ enum: [...balanceReasons] }),
  units: nullOr(units('What it gained; negative: lost.')),
  low: Type.Optional(Type.Boolean({ description: 'Of consumption: whether little is left.' })),
} satisfies Record<keyof DataOf['BalanceChanged'], TSchema>;

const payment = {
  receipt: nullOr(Type.String()),
  amount: nullOr(money('Paid.')),
  currency: nullOr(Type.String()),
  meter_id: nullOr(meter, 'Null: in suspense.'),
  status: Type.String({ enum: ['accepted', 'suspense'] }),
  channel: Type.String({ enum: ['stk', 'c2b', 'query'] }),
  units: nullOr(units('What was bought.')),
  paid_at: nullOr(moment()),
  received_at: moment(),
} satisfies Record<keyof DataOf['PaymentReceived'], TSchema>;

const token = {
  injection_id: Type.String({ format: 'uuid' }),
  meter_id: meter,
  injected_units: units('As the meter confirmed.'),
  late: Type.Boolean({ description: 'The meter answered after nobody waited any more.' }),
  finished_at: moment(),
} satisfies Record<keyof DataOf['TokenInjected'], TSchema>;

const connection = {
  meter_id: meter,
  device_id: nullOr(Type.String()),
  status: Type.String({ enum: ['connected', 'disconnected'] }),
  message: nullOr(Type.String(), 'Why.'),
  at: moment(),
} satisfies Record<keyof ConnectionStatus, TSchema>;

const said = {
  meter_id: meter,
  status: Type.String(),
  message: nullOr(Type.String()),
  balance: nullOr(units('As the meter sees it.')),
  wifi_rssi: nullOr(Type.Number({ description: 'dBm.' })),
  timestamp: Type.Union([Type.String(), Type.Number(), Type.Null()], {
    description: 'As the meter wrote it.',
  }),
  at: moment(),
} satisfies Record<keyof SaidStatus, TSchema>;

const dataOf = {
  MeterReadingSubmitted: Type.Object(reading),
  MeterReadingMinted: Type.Object(minted),
  BalanceChanged: Type.Object(balance),
  PaymentReceived: Type.Object(payment),
  TokenInjected: Type.Object(token),
  DeviceStatus: Type.Union([Type.Object(connection), Type.Object(said)]),
} satisfies Record<EventName, TSchema>;

const id = Type.String({ description: 'Resume after it with `last_event_id`.' });
const schemaOf = (name: string): string => `${name}Event`;
/** What the stream says of itself, besides. */
const ownNames = ['Subscribed', 'Gap', 'Error'] as const;

/** About the stream itself: without an id. */
const Subscribed = Type.Object({
  event: Type.Literal('Subscribed'),
  data: Type.Object({
    events: Type.Array(Type.String({ enum: [...eventNames] })),
    meters: { ...Type.Array(meter), type: ['array', 'null'], description: 'Null: all that you may see.' },
  }),
});
const Gap = Type.Object(
  {
    event: Type.Literal('Gap'),
    data: Type.Union([
      Type.Object({
        reason: Type.String({ enum: ['expired', 'unknown'], description: 'Of the id.' }),
        last_event_id: Type.String(),
      }),
      Type.Object({
        reason: Type.Literal('relay'),
        channel: Type.String(),
        instance: Type.String(),
        missed: Type.Integer({ minimum: 1, description: 'Events of that instance.' }),
      }),
    ]),
  },
  { description: 'Events were missed: ask the HTTP API for the present state.' },
);
const SubscriptionError = Type.Object({
  event: Type.Literal('Error'),
  data: Type.Object({ code: Type.String(), message: Type.String() }),
});

export const liveSchemas: Schemas = {
  ...Object.fromEntries(
    eventNames.map((name) => [
      schemaOf(name),
      Type.Object({ event: Type.Literal(name), id, data: dataOf[name] }),
    ]),
  ),
  SubscribedEvent: Subscribed,
  GapEvent: Gap,
  ErrorEvent: SubscriptionError,
  LiveMessage: {
    oneOf: [...eventNames, ...ownNames].map((name) => ref(schemaOf(name))),
    description: 'What a listener hears, as one text each.',
  },
  LiveSubscription: Type.Object(
    {
      action: Type.Literal('subscribe'),
      events: Type.Optional(Type.Array(Type.String({ enum: [...eventNames] }))),
      meters: Type.Optional(Type.Array(meter, { maxItems: metersMax })),
      last_event_id: Type.Optional(Type.String({ maxLength: 100 })),
    },
    { description: 'What a listener may say at any time. Absent: all; an empty list: none.' },
  ),
};

const example = {
  event: 'BalanceChanged',
  data: {
    meter_id: 'METER001',
    balance: 12.4952,
    updated_at: '2026-11-20T12:00:00.000Z',
    reason: 'payment',
    units: 4,
  } satisfies DataOf['BalanceChanged'],
  id: 'u72-i4f0c1a2b3d@91-i4f0c1a2b3d',
};

export const livePaths: Paths = {
  '/ws': {
    get: {
      operationId: 'listen',
      tags: ['Live events'],
      summary: 'Listen to what happens, over a WebSocket',
      description: `Events come after their commit. Choose with the query, or later with a message. A prosumer hears of own meters
only. Whoever is too slow is sent away (close code 1013), whoever's token ends as well (4401): come back with
\`last_event_id\`, and what was missed within 5 minutes is told first.`,
      parameters: [
        {
          ...someOf('events', 'Of these kinds only; `none` to choose later.', eventNames),
          example: ['BalanceChanged', 'TokenInjected'],
        },
        {
          ...query(
            'meters',
            `Of these meters only, at most ${metersMax}; \`none\` for none.`,
            Type.Array(meter, { maxItems: metersMax }),
          ),
          style: 'form',
          explode: false,
          example: ['METER001'],
        },
        query(
          'last_event_id',
          'Of the last event that was heard: what came after it is told first.',
          Type.String({ maxLength: 100 }),
        ),
        query(
          'access_token',
          'A bearer token or an API key, for browsers, whose WebSockets send no headers of ours.',
          Type.String(),
        ),
      ],
      responses: {
        101: {
          description: `The line is open. Each text message from here has the schema \`LiveMessage\`, each one that you send
\`LiveSubscription\`.`,
          headers: { Upgrade: { description: 'The new protocol.', schema: Type.Literal('websocket') } },
          content: { 'application/json': { schema: ref('LiveMessage'), example } },
        },
        ...refusals(['SCHEMA_INVALID']),
      },
      'x-messages': { heard: ref('LiveMessage'), said: ref('LiveSubscription') },
    },
  },
};
