import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { Type } from 'typebox';

import { DomainError } from '../errors.js';
import { parseTimestamp } from './timestamp.js';

/** Most readings of one array ([M-1]). */
export const readingsPerMessageMax = 1000;

/** One reading as a meter sends it ([M-1]) and as POST /api/meters/submit-reading takes it ([H-6]). */
export interface WireReading {
  readonly meter_id?: string;
  readonly kwh_amount: number;
  readonly reading_timestamp: string | number;
  readonly device_signature?: string;
  readonly meter_signature?: string;
}

/** Unknown fields are ignored; nothing is coerced: "1.0" is not a number. */
export const readingSchema = Type.Object({
  meter_id: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,50}$' })),
  kwh_amount: Type.Number(),
  reading_timestamp: Type.Union([Type.String(), Type.Integer()]),
  device_signature: Type.Optional(Type.String({ maxLength: 1024 })),
  meter_signature: Type.Optional(Type.String({ maxLength: 1024 })),
});

/** ajv refuses NaN and Infinity (what JSON.parse makes of 1e400) as numbers. */
export const isWireReading: ValidateFunction<WireReading> = new Ajv({ allErrors: true }).compile<WireReading>(
  readingSchema,
);

/** An integrator's own JSON Schema (draft 7 or 2020-12), applied to each reading after ours. */
export function compileExtraSchema(schema: object): ValidateFunction {
  const dialect = '$schema' in schema ? String(schema.$schema) : '';
  const options = { allErrors: true, logger: false, formats: { 'date-time': isTimestampText } } as const;
  const ajv = dialect.includes('2020-12') ? new Ajv2020(options) : new Ajv(options);
  try {
    return ajv.compile(schema);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new DomainError('CONFIGURATION', `The validator's own JSON Schema cannot be used: ${problem}.`, {
      cause,
    });
  }
}

/** `kwh_amount must be number; reading_timestamp must be string or integer`. */
export function describeErrors(errors: readonly ErrorObject[] | null | undefined): string {
  const sentences = new Set<string>();
  for (const error of errors ?? []) {
    if (error.keyword === 'anyOf') continue;
    const field = error.instancePath.slice(1) || 'the reading';
    sentences.add(`${field} ${error.message ?? 'is not as the schema wants it'}`);
  }
  return [...sentences].slice(0, 5).join('; ');
}

/** What one reading of a message looked like, byte for byte; in Protobuf each has bytes of its own. */
export function partOf(payload: string | Buffer, part: number): string | Buffer {
  return typeof payload === 'string' ? elementText(payload, part) : payload;
}

/**
 * The text of one element of a payload, byte for byte: the whole payload when it is no array. Only for payloads that
 * JSON.parse has accepted. Writing the parsed element again would change numbers (1e400) and fail on deep nesting.
 */
function elementText(payload: string, part: number): string {
  const open = payload.search(/\S/);
  if (payload[open] !== '[') return payload;
  let from = open + 1;
  let depth = 0;
  let index = 0;
  for (let at = from; at < payload.length; at++) {
    const code = payload.charCodeAt(at);
    if (code === QUOTE) at = endOfString(payload, at);
    else if (code === OPEN_BRACKET || code === OPEN_BRACE) depth++;
    else if (depth > 0 && (code === CLOSE_BRACKET || code === CLOSE_BRACE)) depth--;
    else if (depth === 0 && (code === COMMA || code === CLOSE_BRACKET)) {
      if (index === part) return payload.slice(from, at).trim();
      index++;
      from = at + 1;
    }
  }
  return payload;
}

const QUOTE = 34;
const COMMA = 44;
const BACKSLASH = 92;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at;
}

function isTimestampText(text: string): boolean {
  return !Number.isNaN(parseTimestamp(text));
}
