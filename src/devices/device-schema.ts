import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { Type } from 'typebox';
import { DomainError, type ErrorDetail } from '../errors.js';
import { uuidPattern } from '../uuid.js';
import type { DevicePatch, NewDevice } from './device.js';
import { hasDrnCheckDigit, luhnDigit } from './drn.js';

const text = Type.String({ maxLength: 200, pattern: '^[^\\u0000]*$' });
const type = Type.String({
  pattern: '^[a-z0-9_-]{1,32}$',
  description:
    'hvac, lighting, server, industrial, appliance, sensor, meter, gateway, controller, or another word.',
});
const quantity = Type.Number({ minimum: 0, maximum: 1_000_000_000 });
/** `null` clears the field. */
const orNull = <T extends { type: string }>(schema: T, description: string) => ({
  ...schema,
  type: [schema.type, 'null'],
  description,
});

const fields = {
  name: Type.Optional(orNull(text, 'For people.')),
  location: Type.Optional(orNull(text, 'For people.')),
  drn: Type.Optional(
    orNull(
      Type.String({ pattern: '^(\\d{11}|\\d{13})$' }),
      'The number on the meter, 11 or 13 digits with a Luhn check digit.',
    ),
  ),
  user_id: Type.Optional(
    orNull(Type.String({ pattern: uuidPattern }), 'Whose it is; the caller’s when absent.'),
  ),
  base_power: Type.Optional(orNull(quantity, 'kW.')),
  base_voltage: Type.Optional(orNull(quantity, 'V.')),
};

/** What POST /devices takes ([H-1]); the API's document shows this very schema. */
export const newDevice = Type.Object({
  type,
  meter_id: Type.Optional(
    orNull(
      Type.String({ pattern: '^[A-Za-z0-9_-]{1,50}$' }),
      'Names the meter in topics and readings, for ever; the id when absent.',
    ),
  ),
  ...fields,
});

/** What PATCH /devices/{id} takes ([H-2]). */
export const devicePatch = Type.Object({
  type: Type.Optional(type),
  status: Type.Optional(Type.String({ pattern: '^[a-z_]{1,32}$' })),
  tariff_plan: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9_-]{1,50}$',
      description: 'Of what is paid from now on; one that has a version.',
    }),
  ),
  ...fields,
});

/** A year at most, as with keys. */
const passwordReset = Type.Object({
  grace_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 31_536_000 })),
});

const ajv = new Ajv({ allErrors: true });
const isPasswordReset = ajv.compile<{ readonly grace_seconds?: number }>(passwordReset);
const isNewDevice = ajv.compile<NewDevice>(newDevice);
const isDevicePatch = ajv.compile<DevicePatch>(devicePatch);

/** @throws DomainError SCHEMA_INVALID naming each field, DRN_CHECK_DIGIT */
export function asNewDevice(input: unknown): NewDevice {
  return withRightDrn(checked(input, isNewDevice));
}

/** @throws as `asNewDevice` */
export function asDevicePatch(input: unknown): DevicePatch {
  return withRightDrn(checked(input, isDevicePatch));
}

/** A bare id asks for the defaults. @throws DomainError SCHEMA_INVALID */
export function asPasswordReset(input: unknown): { readonly grace_seconds?: number } {
  const isBare = typeof input === 'string' || input === undefined || input === null;
  return isBare ? {} : checked(input, isPasswordReset);
}

export function invalid(details: readonly ErrorDetail[]): DomainError {
  const sentence = details.map(({ path, message }) => `${path.slice(1) || 'the body'} ${message}`).join('; ');
  return new DomainError('SCHEMA_INVALID', `The device is not valid: ${sentence}.`, { details });
}

function checked<T>(input: unknown, isValid: ValidateFunction<T>): T {
  if (!isValid(input)) throw invalid((isValid.errors ?? []).map(asDetail));
  return input;
}

function withRightDrn<T extends { readonly drn?: string | null }>(device: T): T {
  const { drn } = device;
  if (typeof drn !== 'string' || hasDrnCheckDigit(drn)) return device;
  const right = luhnDigit(drn.slice(0, -1));
  const message = `has a wrong check digit: ${right} would be right, or another digit is wrong`;
  throw new DomainError('DRN_CHECK_DIGIT', `The check digit of drn ${drn} is wrong.`, {
    details: [{ path: '/drn', message }],
  });
}

function asDetail(error: ErrorObject): ErrorDetail {
  const missing: unknown = error.params['missingProperty'];
  if (typeof missing === 'string') return { path: `/${missing}`, message: 'is missing' };
  const types: unknown = error.keyword === 'type' ? error.params['type'] : undefined;
  if (Array.isArray(types)) return { path: error.instancePath, message: `must be ${types.join(' or ')}` };
  const form = error.keyword === 'pattern' ? forms[error.instancePath] : undefined;
  return { path: error.instancePath, message: form ?? error.message ?? 'is not valid' };
}

/** A regular expression in words. */
const forms: Readonly<Record<string, string>> = {
  '/type': 'must be 1 to 32 small letters, digits, _ or -',
  '/meter_id': 'must be 1 to 50 letters, digits, _ or -',
  '/drn': 'must be 11 or 13 digits',
  '/user_id': 'must be a UUID',
};
