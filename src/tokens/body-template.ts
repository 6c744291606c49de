import { DomainError } from '../errors.js';
import type { TokenOrder } from './vendor.js';

const fields = [
  'meter_number',
  'credit_token',
  'injection_id',
  'meter_id',
] as const satisfies readonly (keyof TokenOrder)[];

/** What the first systems of this kind take ([T-1]). */
export const usualBody = '{"meter_number": "{{meter_number}}", "credit_token": "{{credit_token}}"}';

/**
 * A JSON text with `{{meter_number}}` and the like inside of its strings. It is parsed before it is filled in, so that
 * no value can break out of its string.
 * @throws DomainError CONFIGURATION when it is no JSON, or names something else
 */
export function createBodyTemplate(text: string): (order: TokenOrder) => unknown {
  let template: unknown;
  try {
    template = JSON.parse(text);
  } catch (cause) {
    throw new DomainError('CONFIGURATION', 'The body of the request must be JSON.', { cause });
  }
  const unknown = [...text.matchAll(/\{\{(.*?)\}\}/g)].find(
    ([, name]) => !fields.some((known) => known === name),
  );
  if (unknown !== undefined)
    throw new DomainError(
      'CONFIGURATION',
      `The body of the request has ${unknown[0]}; there are ${fields.join(', ')}.`,
    );
  return (order) => filled(template, order);
}

function filled(part: unknown, order: TokenOrder): unknown {
  if (typeof part === 'string')
    return fields.reduce((text, name) => text.replaceAll(`{{${name}}}`, order[name]), part);
  if (Array.isArray(part)) return part.map((one) => filled(one, order));
  if (typeof part !== 'object' || part === null) return part;
  return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, filled(value, order)]));
}
