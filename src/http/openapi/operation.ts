import { Type } from 'typebox';
import { json } from './answers.js';
import { ref, type Paths, type Schemas } from './model.js';
import { refusals, refusalsOf } from './refusals.js';

const tags = ['Operation'] as const;

export const operationSchemas: Schemas = {
  Liveness: Type.Object({ status: Type.Literal('live') }),
  Readiness: Type.Object({
    status: Type.String({ enum: ['ready', 'not ready'] }),
    checks: Type.Record(Type.String(), Type.String(), {
      description: '`ok`, or the reason, by part: database, broker, flows.',
    }),
  }),
};

export const operationPaths: Paths = {
  '/healthz': {
    get: {
      operationId: 'getLiveness',
      tags,
      summary: 'Whether the process lives',
      security: [],
      responses: {
        200: { description: 'It does.', content: json(ref('Liveness'), { status: 'live' }) },
        ...refusalsOf(['FORBIDDEN']),
      },
    },
  },
  '/readyz': {
    get: {
      operationId: 'getReadiness',
      tags,
      summary: 'Whether every part works',
      security: [],
      responses: {
        200: {
          description: 'Every part works.',
          content: json(ref('Readiness'), {
            status: 'ready',
            checks: { database: 'ok', broker: 'ok', flows: 'ok' },
          }),
        },
        503: {
          description: 'A part does not, and why.',
          headers: {
            'Retry-After': {
              description: 'Seconds until asking again makes sense.',
              schema: Type.Integer({ minimum: 1 }),
            },
          },
          content: json(ref('Readiness'), {
            status: 'not ready',
            checks: { database: 'does not answer', broker: 'ok', flows: 'ok' },
          }),
        },
        ...refusalsOf(['FORBIDDEN']),
      },
    },
  },
  '/metrics': {
    get: {
      operationId: 'getMetrics',
      tags,
      summary: 'Metrics for Prometheus',
      responses: {
        200: {
          description: 'Prometheus’ text format.',
          content: { 'text/plain': { schema: Type.String() } },
        },
        ...refusals([]),
      },
    },
  },
  '/openapi.json': {
    get: {
      operationId: 'getDocument',
      tags,
      summary: 'This document',
      security: [],
      responses: {
        200: {
          description: 'OpenAPI 3.1.',
          content: {
            'application/json': {
              schema: Type.Object({ openapi: Type.String({ pattern: '^3\\.1\\.' }), paths: Type.Object({}) }),
            },
          },
        },
        ...refusalsOf(['FORBIDDEN', 'INTERNAL', 'DATABASE_UNAVAILABLE']),
      },
    },
  },
};
