import { Type, type TSchema } from 'typebox';
import {
  daySorts,
  hourSorts,
  type BucketStatistics,
  type DayStatistics,
  type HourStatistics,
  type ReadingTotals,
} from '../../statistics/bucket.js';
import { daySpan, hourSpan, type SpanRule } from '../../statistics/span.js';
import { json, moment } from './answers.js';
import { listParameters, named, query, span } from './lists.js';
import { ref, type Answer, type Parameter, type Paths, type Schemas } from './model.js';
import { kept } from './readings.js';
import { refusals } from './refusals.js';

const tags = ['Readings'] as const;

const kwh = (description: string): TSchema => Type.Number({ minimum: 0, description });
const count = (description: string): TSchema => Type.Integer({ minimum: 0, description });

const figures = {
  meter_id: Type.String(),
  reading_count: Type.Integer({ minimum: 1 }),
  total_kwh: kwh('Energy of all its readings in kWh, at most 4 decimals.'),
  avg_kwh: kwh('Of one reading, rounded to 4 decimals.'),
  min_kwh: kwh('Of one reading.'),
  max_kwh: kwh('Of one reading.'),
} satisfies Record<keyof BucketStatistics, TSchema>;

const hour = {
  hour_bucket: { ...moment(), description: 'Where the hour begins.' },
  ...figures,
} satisfies Record<keyof HourStatistics, TSchema>;

const day = {
  day_bucket: { ...moment(), description: 'Where the day begins.' },
  date: Type.String({ format: 'date', description: 'Its date in that time zone.' }),
  ...figures,
} satisfies Record<keyof DayStatistics, TSchema>;

const totals = {
  total_kwh: kwh('Of all readings that are kept.'),
  unminted_kwh: kwh('Of those that were not handed over for minting.'),
  minted_kwh: kwh('Of those that were.'),
  total_readings: count('How many readings are kept.'),
  unminted_readings: count('How many were not handed over.'),
  minted_readings: count('How many were.'),
} satisfies Record<keyof ReadingTotals, TSchema>;

export const statisticsSchemas: Schemas = {
  HourStatistics: Type.Object(hour),
  DayStatistics: Type.Object(day),
  ReadingTotals: Type.Object(totals),
};

const some: BucketStatistics = {
  meter_id: 'METER001',
  reading_count: 4,
  total_kwh: 5,
  avg_kwh: 1.25,
  min_kwh: 1.1,
  max_kwh: 1.4,
};
const hours: HourStatistics[] = [{ hour_bucket: '2026-11-20T12:00:00.000Z', ...some }];
const days: DayStatistics[] = [{ day_bucket: '2026-11-19T21:00:00.000Z', date: '2026-11-20', ...some }];
const total: ReadingTotals = {
  total_kwh: 120.5,
  unminted_kwh: 100.25,
  minted_kwh: 20.25,
  total_readings: 96,
  unminted_readings: 80,
  minted_readings: 16,
};

const which: Parameter = named('meter_id', 'The meter’s meter_id or its drn.', 'METER001');

/** All of them without `page` and `limit`. */
function buckets(unit: string, { daysDefault, daysMax }: SpanRule, sorts: readonly string[]): Parameter[] {
  return [
    which,
    ...span(
      `From the ${unit} that it lies in; unset: ${daysDefault} days before the end; at most ${daysMax} days before it`,
      `Up to the ${unit} that it lies in, not included when it is the beginning of one; unset: now`,
    ),
    ...listParameters(sorts, 'asc'),
  ];
}

function rows(name: string, example: unknown): Answer {
  return {
    description: 'All of the span, or a page of it when the query has `page` or `limit`.',
    headers: {
      'X-Total-Count': {
        description: 'How many there are on all pages.',
        schema: Type.Integer({ minimum: 0 }),
      },
    },
    content: json(Type.Array(ref(name)), example),
  };
}

const shared =
  'Ascending by time unless sorted otherwise; what has no reading is left out. Late readings count at once. ' +
  'Mocks have none.';

export const statisticsPaths: Paths = {
  '/api/meters/{meter_id}/stats/hourly': {
    get: {
      operationId: 'listHours',
      tags,
      summary: 'Energy of one meter by hour',
      description: `Hours of UTC. ${shared}`,
      parameters: buckets('hour', hourSpan, hourSorts),
      responses: {
        200: rows('HourStatistics', hours),
        ...refusals(['SCHEMA_INVALID', 'METER_UNKNOWN']),
      },
    },
  },
  '/api/meters/{meter_id}/stats/daily': {
    get: {
      operationId: 'listDays',
      tags,
      summary: 'Energy of one meter by day',
      description: shared,
      parameters: [
        ...buckets('day', daySpan, daySorts),
        query(
          'time_zone',
          'Whose days they are; an IANA name.',
          Type.String({ default: 'UTC', examples: ['Africa/Nairobi', 'UTC'] }),
        ),
      ],
      responses: {
        200: rows('DayStatistics', days),
        ...refusals(['SCHEMA_INVALID', 'METER_UNKNOWN']),
      },
    },
  },
  '/api/meters/stats': {
    get: {
      operationId: 'getMyTotals',
      tags,
      summary: 'What the caller’s meters have measured',
      description: `Counts as \`/api/meters/my-readings\` lists: the time in which the meters were the caller’s. ${kept}`,
      responses: {
        200: { description: 'The totals.', content: json(ref('ReadingTotals'), total) },
        ...refusals([]),
      },
    },
  },
};
