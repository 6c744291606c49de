import { Type, type TSchema } from 'typebox';
import type { Content, Schema } from './model.js';

/** JSON that has this schema. */
export function json(schema: Schema, example: unknown): Content {
  return { 'application/json': { schema, example } };
}

/** A time as every answer has it: RFC 3339 in UTC. */
export function moment(): TSchema {
  return Type.String({ format: 'date-time' });
}

/** JSON Schema 2020-12 knows no `nullable`. */
export function nullOr(schema: TSchema, description?: string): TSchema {
  const { type } = schema as { type?: unknown };
  return { ...schema, type: [type, 'null'], ...(description === undefined ? {} : { description }) };
}
