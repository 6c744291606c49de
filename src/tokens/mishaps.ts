import { DomainError } from '../errors.js';
import { hintOf } from './sts.js';

export function busy(meterId: string): DomainError {
  return new DomainError(
    'INJECTIONS_BUSY',
    `Other tokens for the meter ${meterId} are under way; come back.`,
  );
}

export function stopped(): DomainError {
  return new DomainError('INJECTION_INTERRUPTED', 'The injection ended before the token was sent.');
}

/** A number may be right in its form, and be what somebody mistyped. */
export function unknownMeter(number: string): DomainError {
  const hint = hintOf(number);
  const sentence = `There is no meter ${JSON.stringify(number)}${hint === undefined ? '' : `; ${hint}`}.`;
  return new DomainError('METER_UNKNOWN', sentence);
}
