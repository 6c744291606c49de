import { Type, type TSchema } from 'typebox';
import { anomalyKinds, type Anomaly } from '../../anomalies/anomaly.js';
import { json, moment, nullOr } from './answers.js';
import { listParameters, pageOf, query } from './lists.js';
import { ref, type Paths, type Schemas } from './model.js';
import { refusals } from './refusals.js';

const anomaly = {
  id: Type.Integer(),
  kind: Type.String({ enum: [...anomalyKinds] }),
  subject: Type.String({ description: 'The meter, or the address when there is none.' }),
  meter_id: nullOr(Type.String()),
  occurrences: Type.Integer({ minimum: 1, description: 'How many within the hour.' }),
  reason: Type.String({ description: 'A sentence about the last of them.' }),
  first_at: moment(),
  last_at: moment(),
} satisfies Record<keyof Anomaly, TSchema>;

export const anomalySchemas: Schemas = {
  Anomaly: Type.Object(anomaly),
  AnomalyPage: pageOf('Anomaly'),
};

const example: Anomaly = {
  id: 7,
  kind: 'consumption_outlier',
  subject: 'METER001',
  meter_id: 'METER001',
  occurrences: 1,
  reason: '80 kWh, where 0.2500 kWh is usual.',
  first_at: '2026-11-20T12:00:01.204Z',
  last_at: '2026-11-20T12:00:01.204Z',
};

export const anomalyPaths: Paths = {
  '/api/admin/anomalies': {
    get: {
      operationId: 'listAnomalies',
      tags: ['Readings'],
      summary: 'What is out of the ordinary, by kind and hour',
      description: 'The latest 10,000 rows are kept.',
      parameters: [
        ...listParameters(['last_at']),
        query('kind', 'Of this kind only.', Type.String({ enum: [...anomalyKinds] })),
        query('meter_id', 'Of this meter only.', Type.String()),
      ],
      responses: {
        200: {
          description: 'A page of anomalies, the latest first.',
          content: json(ref('AnomalyPage'), { data: [example], page: 1, limit: 20, total: 1 }),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
};
