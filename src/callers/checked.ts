import { Ajv, type ErrorObject } from 'ajv';
import { DomainError, type ErrorDetail } from '../errors.js';

const ajv = new Ajv({ allErrors: true, allowUnionTypes: true });

/**
 * @param what begins the sentence: `The account`
 * @param forms regular expressions in words, by the path of their field
 * @returns a function that hands its input back as T, or throws SCHEMA_INVALID naming each field, never a value
 */
export function checker<T>(
  what: string,
  schema: object,
  forms: Readonly<Record<string, string>> = {},
): (input: unknown) => T {
  const isValid = ajv.compile<T>(schema);
  return (input) => {
    if (isValid(input)) return input;
    throw invalid(
      what,
      (isValid.errors ?? []).map((error) => asDetail(error, forms)),
    );
  };
}

export function invalid(what: string, details: readonly ErrorDetail[]): DomainError {
  const sentence = details.map(({ path, message }) => `${path.slice(1) || 'the body'} ${message}`).join('; ');
  return new DomainError('SCHEMA_INVALID', `${what} is not valid: ${sentence}.`, { details });
}

function asDetail(error: ErrorObject, forms: Readonly<Record<string, string>>): ErrorDetail {
  const missing: unknown = error.params['missingProperty'];
  if (typeof missing === 'string') return { path: `/${missing}`, message: 'is missing' };
  const types: unknown = error.keyword === 'type' ? error.params['type'] : undefined;
  if (Array.isArray(types)) return { path: error.instancePath, message: `must be ${types.join(' or ')}` };
  const allowed: unknown = error.keyword === 'enum' ? error.params['allowedValues'] : undefined;
  if (Array.isArray(allowed))
    return { path: error.instancePath, message: `must be one of ${allowed.join(', ')}` };
  const form = error.keyword === 'pattern' ? forms[error.instancePath] : undefined;
  return { path: error.instancePath, message: form ?? error.message ?? 'is not valid' };
}
