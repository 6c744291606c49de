import { DomainError, type ErrorDetail } from '../errors.js';
import { checkMeterNumber, checkToken } from './sts.js';

export interface InjectionRequest {
  readonly meterNumber: string;
  readonly token: string;
}

/**
 * The body of [H-10]. Strings always: a number would have lost its zeros in front, or its last digits.
 * @throws DomainError SCHEMA_INVALID, DRN_CHECK_DIGIT, METER_NUMBER_INVALID, TOKEN_INVALID, each with `details`
 */
export function readInjectionRequest(body: unknown): InjectionRequest {
  const fields = typeof body === 'object' && body !== null ? (body as Readonly<Record<string, unknown>>) : {};
  const { meter_number, credit_token } = fields;
  const wrong: ErrorDetail[] = [];
  if (typeof meter_number !== 'string') wrong.push({ path: '/meter_number', message: said(meter_number) });
  if (typeof credit_token !== 'string') wrong.push({ path: '/credit_token', message: said(credit_token) });
  if (typeof meter_number !== 'string' || typeof credit_token !== 'string') {
    const sentence = wrong.map(({ path, message }) => `${path.slice(1)} ${message}`).join('; ');
    throw new DomainError('SCHEMA_INVALID', `The request is wrong: ${sentence}.`, { details: wrong });
  }
  const number = checkMeterNumber(meter_number);
  if (number.outcome === 'flawed') {
    const code = number.kind === 'check_digit' ? 'DRN_CHECK_DIGIT' : 'METER_NUMBER_INVALID';
    throw flawed(code, 'meter_number', number.message);
  }
  const token = checkToken(credit_token);
  if (token.outcome === 'flawed') throw flawed('TOKEN_INVALID', 'credit_token', token.message);
  return { meterNumber: meter_number, token: credit_token };
}

function flawed(
  code: 'DRN_CHECK_DIGIT' | 'METER_NUMBER_INVALID' | 'TOKEN_INVALID',
  field: 'meter_number' | 'credit_token',
  message: string,
): DomainError {
  return new DomainError(code, `${field}: ${message}.`, { details: [{ path: `/${field}`, message }] });
}

function said(value: unknown): string {
  if (value === undefined) return 'is missing';
  return typeof value === 'number' ? 'must be a string: numbers lose digits' : 'must be a string';
}
