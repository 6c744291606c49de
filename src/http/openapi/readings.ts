import { Type, type TSchema } from 'typebox';
import { latestSorts, ownSorts, rangeSorts, sources, type StoredReading } from '../../readings/queries.js';
import { json, moment, nullOr } from './answers.js';
import { listParameters, named, pageOf, query, span } from './lists.js';
import { ref, type Parameter, type Paths, type Schemas } from './model.js';
import { refusals } from './refusals.js';

const tags = ['Readings'] as const;

const reading = {
  id: Type.Integer(),
  meter_id: Type.String(),
  user_id: nullOr(Type.String(), 'Whose the meter was at that time.'),
  wallet_address: nullOr(Type.String()),
  kwh_amount: Type.Number({
    exclusiveMinimum: 0,
    description: 'Energy of the interval in kWh, at most 4 decimals.',
  }),
  reading_timestamp: { ...moment(), description: 'The meter’s time.' },
  submitted_at: { ...moment(), description: 'When it was received.' },
  source: Type.String({ description: 'The way it came, for example mqtt.' }),
  minted: Type.Boolean(),
} satisfies Record<keyof StoredReading, TSchema>;

export const readingSchemas: Schemas = {
  Reading: Type.Object(reading),
  ReadingPage: pageOf('Reading'),
};

const example: StoredReading = {
  id: 4711,
  meter_id: 'METER001',
  user_id: '5a1d3f62-2f0c-4a53-8a0e-6d8a4a2f9b10',
  wallet_address: null,
  kwh_amount: 1.25,
  reading_timestamp: '2026-11-20T12:00:00.000Z',
  submitted_at: '2026-11-20T12:00:01.204Z',
  source: 'mqtt',
  minted: false,
};
const page = { data: [example], page: 1, limit: 20, total: 1 };

const which: Parameter = named('meter_id', 'The meter’s meter_id or its drn.', 'METER001');
const filters: readonly Parameter[] = [
  ...span('From here on', 'Up to here, not included'),
  query('source', 'The way they came.', Type.String({ enum: [...sources] })),
  query('minted', 'Handed over for minting, or the others.', Type.Boolean()),
];

/** Not among the documented headers: it is there for what a cache may answer, and with a lifetime of 0 for nothing. */
export const kept =
  '`X-Cache` says `hit` when the answer was kept since it was last asked for; a write in between ends that.';

export const readingPaths: Paths = {
  '/api/meter_data': {
    get: {
      operationId: 'listLatestReadings',
      tags,
      summary: 'The latest reading of every meter',
      description: 'Meters without a reading are left out.',
      parameters: listParameters(latestSorts),
      responses: {
        200: {
          description: 'A page of readings, one of each meter.',
          content: json(ref('ReadingPage'), page),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
  '/api/meter_data/{meter_id}': {
    get: {
      operationId: 'getLatestReading',
      tags,
      summary: 'The latest reading of one meter',
      description: `${kept} Not older than the last one that was acknowledged.`,
      parameters: [which],
      responses: {
        200: { description: 'The reading.', content: json(ref('Reading'), example) },
        ...refusals(['METER_UNKNOWN', 'NO_READING']),
      },
    },
  },
  '/api/meters/{meter_id}/readings': {
    get: {
      operationId: 'listReadings',
      tags,
      summary: 'The readings of one meter between two times',
      description: `The first page without any filter: ${kept}`,
      parameters: [which, ...filters, ...listParameters(rangeSorts)],
      responses: {
        200: { description: 'A page of readings.', content: json(ref('ReadingPage'), page) },
        ...refusals(['SCHEMA_INVALID', 'METER_UNKNOWN']),
      },
    },
  },
  '/api/meters/my-readings': {
    get: {
      operationId: 'listMyReadings',
      tags,
      summary: 'The readings of the caller’s meters',
      description:
        'Of the time in which the meters were the caller’s, also of those that are no longer there. Mocks are left out. ' +
        `The first page without any filter: ${kept}`,
      parameters: [
        ...filters,
        query('meter_id', 'Of this meter alone.', Type.String()),
        ...listParameters(ownSorts),
      ],
      responses: {
        200: { description: 'A page of readings.', content: json(ref('ReadingPage'), page) },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
};
