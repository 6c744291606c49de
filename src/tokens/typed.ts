import { checkMeterNumber, checkToken, compact, hintOf, type Flaw, type Judged } from './sts.js';

/** What was typed into a field, and what is to be said of it at once. */
export interface TypedField {
  /** Without the spaces and hyphens of groups: what to send. */
  readonly value: string;
  /** `incomplete`: right as far as it goes. */
  readonly state: 'valid' | 'incomplete' | 'flawed';
  readonly kind: Flaw['kind'] | null;
  /** Counted from 1, in `value`. */
  readonly position: number | null;
  /** A half sentence; null: nothing to say. */
  readonly message: string | null;
}

export interface TypedMeterNumber extends TypedField {
  /** Of a DRN: the number of the meter's card. */
  readonly pan: string | null;
}

/** A form's fields; null: that one was not given. */
export interface TypedInjection {
  readonly valid: boolean;
  readonly meter_number: TypedMeterNumber | null;
  readonly credit_token: TypedField | null;
}

/** Longer ones are cut: nobody types so. */
const typedMax = 200;

/** Judges the fields of an injection while they are typed: those that are strings. `valid` needs both. */
export function judgeTyped(said: unknown): TypedInjection {
  const fields = typeof said === 'object' && said !== null ? (said as Record<string, unknown>) : {};
  const meter_number = typedNumber(fields['meter_number']);
  const credit_token = typedToken(fields['credit_token']);
  const valid = meter_number?.state === 'valid' && credit_token?.state === 'valid';
  return { valid, meter_number, credit_token };
}

function typedNumber(typed: unknown): TypedMeterNumber | null {
  if (typeof typed !== 'string') return null;
  const trimmed = typed.trim().slice(0, typedMax);
  // As on a card; a meter_id has no spaces, and may have hyphens.
  const value = /^[\d\s-]+$/.test(trimmed) && !/^\d+-\d+$/.test(trimmed) ? compact(trimmed) : trimmed;
  const judged = checkMeterNumber(value);
  const pan = judged.outcome === 'valid' && judged.form === 'drn' ? judged.drn.pan : null;
  const field = fieldOf(value, judged);
  return { ...field, message: field.message ?? hintOf(value) ?? null, pan };
}

function typedToken(typed: unknown): TypedField | null {
  if (typeof typed !== 'string') return null;
  const value = compact(typed.slice(0, typedMax));
  return fieldOf(value, checkToken(value));
}

function fieldOf(value: string, judged: Judged<object>): TypedField {
  if (judged.outcome === 'valid') return { value, state: 'valid', kind: null, position: null, message: null };
  const { kind, position, message } = judged;
  return { value, state: kind === 'missing' ? 'incomplete' : 'flawed', kind, position, message };
}
