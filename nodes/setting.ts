import { DomainError } from '../src/errors.js';

export interface Range {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly whole?: boolean;
}

/**
 * A field of a node's dialog as a number. Node-RED substitutes `${NAME}` when it creates the node; a variable that is
 * not set arrives as an empty string or as the literal, and both mean the default.
 */
export function numberSetting(value: unknown, fallback: number, range: Range): number {
  if (isUnset(value)) return fallback;
  const number = Number(value);
  const fits = Number.isFinite(number) && number >= range.min && number <= range.max;
  if (fits && (range.whole !== true || Number.isInteger(number))) return number;
  const kind = range.whole === true ? 'a whole number' : 'a number';
  throw new DomainError(
    'CONFIGURATION',
    `${range.name} must be ${kind} from ${range.min} to ${range.max}, not "${String(value)}"`,
  );
}

/** So many in a minute; null, or the word `unlimited`: any number. */
export function rateSetting(value: unknown, fallback: number | null, name: string): number | null {
  const text = textSetting(value, fallback === null ? 'unlimited' : String(fallback));
  if (text === 'unlimited') return null;
  return numberSetting(text, 1, { name, min: 1, max: 1_000_000, whole: true });
}

/** A field as text; unset variables and empty fields give the default. */
export function textSetting(value: unknown, fallback: string): string {
  return isUnset(value) ? fallback : String(value).trim();
}

/** A checkbox, or the value of a variable such as `${MQTT_USE_TLS}`. */
export function flagSetting(value: unknown, fallback: boolean): boolean {
  if (isUnset(value)) return fallback;
  return value === true || /^(true|yes|on|1)$/i.test(String(value).trim());
}

function isUnset(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (typeof value !== 'string') return false;
  return value.trim() === '' || /^\$\{[^}]*\}$/.test(value.trim());
}
