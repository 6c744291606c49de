import type { Refusal } from './record.js';

/** What a meter says of a token. */
export interface MeterAnswer {
  readonly outcome: 'success' | Refusal;
  /** In ten-thousandths of a unit; of a success always. */
  readonly units: number | null;
  readonly message: string | null;
  /** The meter that it says it comes from. */
  readonly meter_number: string | null;
  /** What it answers to, where it says so. */
  readonly token: string | null;
  readonly message_id: string | null;
  /** As sent. */
  readonly data: unknown;
}

export type ReadAnswer = MeterAnswer | { readonly outcome: 'unreadable'; readonly reason: string };

/** What an integrator's own mapping makes of a parsed payload: the fields of the object form ([T-3]). */
export type AnswerMapping = (data: unknown) => unknown;

/** Longer answers are none. */
const bytesMax = 16_384;
/** More than an STS token can carry (1,820,162.4). */
const unitsMax = 10_000_000;

/**
 * Reads a meter's answer: a list of `{n, v, t}` records or an object ([T-3]), or whatever `mapping` turns into such an
 * object. Anything else is unreadable, and no answer.
 */
export function readAnswer(payload: string | Buffer, mapping: AnswerMapping = builtIn): ReadAnswer {
  if (Buffer.byteLength(payload) > bytesMax) return unreadable(`is longer than ${bytesMax} bytes`);
  let data: unknown;
  try {
    data = JSON.parse(payload.toString());
  } catch {
    return unreadable('is not JSON');
  }
  let mapped: unknown;
  try {
    mapped = mapping(data);
  } catch (error) {
    return unreadable(`cannot be mapped: ${error instanceof Error ? error.message : String(error)}`);
  }
  return isFields(mapped) ? answerOf(mapped, data) : unreadable('has no known form');
}

/** Both forms of [T-3] as the object form. */
function builtIn(data: unknown): unknown {
  return Array.isArray(data) ? ofRecords(data) : data;
}

/** `{n, v, t}` records; of two with one name the first counts. */
function ofRecords(records: readonly unknown[]): Fields | null {
  const values = new Map<unknown, unknown>();
  for (const record of records) {
    if (!isFields(record)) return null;
    const { n, v } = record;
    const name = typeof n === 'string' && /^\dP-Energy-Meter$/.test(n) ? 'meter' : n;
    if (!values.has(name)) values.set(name, v);
  }
  const said = values.get('status');
  const status = acknowledged(values.get('credit-token-ack'), said);
  return {
    status,
    meter_number: values.get('meter'),
    injected_units: values.get('injected-units'),
    message: values.get('message'),
    credit_token: values.get('credit-token'),
    message_id: values.get('message-id'),
  };
}

function acknowledged(ack: unknown, said: unknown): unknown {
  if (ack === 1 || ack === true) return 'success';
  if (ack === 0 || ack === false) return typeof said === 'string' && said !== 'success' ? said : 'failed';
  return undefined;
}

const refusals: readonly Refusal[] = ['used', 'expired', 'wrong_meter', 'failed'];

function answerOf(fields: Fields, data: unknown): ReadAnswer {
  const { status } = fields;
  const said = typeof status === 'string' ? status.toLowerCase() : status;
  const outcome = said === 'success' ? said : refusals.find((known) => known === said);
  if (outcome === undefined) return unreadable('says neither success nor why not');
  const units = unitsOf(fields['injected_units']);
  if (outcome === 'success' && units === null) return unreadable('says success without injected units');
  return {
    outcome,
    units: outcome === 'success' ? units : null,
    message: text(fields['message'], 500),
    meter_number: text(fields['meter_number'], 64),
    token: text(fields['credit_token'], 64),
    message_id: text(fields['message_id'], 64),
    data,
  };
}

/**
 * Meters compute in floats of 32 bits, so what they mean by 0.1 may be 0.10000000149; what is further from four
 * decimals is not meant so.
 */
function unitsOf(value: unknown): number | null {
  const number = typeof value === 'string' && /^\d{1,8}(\.\d{1,12})?$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !(number >= 0 && number <= unitsMax)) return null;
  const exact = number * 10_000;
  const whole = Math.round(exact);
  return Math.abs(exact - whole) <= Math.max(0.001, whole * 1e-7) ? whole : null;
}

function unreadable(reason: string): ReadAnswer {
  return { outcome: 'unreadable', reason };
}

/** NUL does not fit a text of the database. */
function text(value: unknown, lengthMax: number): string | null {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  if (typeof value !== 'string' || value === '') return null;
  return value
    .replaceAll('\u0000', '\uFFFD')
    .replaceAll(/\p{Surrogate}/gu, '\uFFFD')
    .slice(0, lengthMax);
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
