import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { Type } from 'typebox';
import { DomainError, type ErrorDetail } from '../errors.js';
import type { DeviceFilter, DevicePatch, NewDevice } from './device.js';
import { hasDrnCheckDigit } from './drn.js';

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
    orNull(
      Type.String({ pattern: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' }),
      'Whose it is; the caller’s when absent.',
    ),
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

const ajv = new Ajv({ allErrors: true });
const isNewDevice = ajv.compile<NewDevice>(newDevice);
const isDevicePatch = ajv.compile<DevicePatch>(devicePatch);

/** @throws DomainError SCHEMA_INVALID naming each field, DRN_CHECK_DIGIT */
export function asNewDevice(input: unknown): NewDevice {
  return checked(input, isNewDevice);
}

/** @throws as `asNewDevice` */
export function asDevicePatch(input: unknown): DevicePatch {
  return checked(input, isDevicePatch);
}

/** Reads the filters of a list from a query string. Unknown names are ignored. */
export function asDeviceFilter(query: Readonly<Record<string, unknown>>): DeviceFilter {
  return {
    id: asText(query['id']),
    meter_id: asText(query['meter_id']),
    drn: asText(query['drn']),
    type: asText(query['type']),
    name: asText(query['name']),
    location: asText(query['location']),
    status: asText(query['status']),
    user_id: asText(query['user_id']),
    mock: asFlag(query, 'mock'),
    online: asFlag(query, 'online'),
  };
}

export function invalid(details: readonly ErrorDetail[]): DomainError {
  const sentence = details.map(({ path, message }) => `${path.slice(1) || 'the body'} ${message}`).join('; ');
  return new DomainError('SCHEMA_INVALID', `The device is not valid: ${sentence}.`, { details });
}

function checked<T extends { readonly drn?: string | null }>(
  input: unknown,
  isValid: ValidateFunction<T>,
): T {
  if (!isValid(input)) throw invalid((isValid.errors ?? []).map(asDetail));
  if (typeof input.drn === 'string' && !hasDrnCheckDigit(input.drn))
    throw new DomainError('DRN_CHECK_DIGIT', `The check digit of drn ${input.drn} is wrong.`, {
      details: [{ path: '/drn', message: 'has a wrong check digit' }],
    });
  return input;
}

function asDetail(error: ErrorObject): ErrorDetail {
  const missing: unknown = error.params['missingProperty'];
  if (typeof missing === 'string') return { path: `/${missing}`, message: 'is missing' };
  const types: unknown = error.keyword === 'type' ? error.params['type'] : undefined;
  if (Array.isArray(types)) return { path: error.instancePath, message: `must be ${types.join(' or ')}` };
  return { path: error.instancePath, message: error.message ?? 'is not valid' };
}

function asText(value: unknown): string | null {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  // A NUL cannot be stored, so it finds nothing: `\uFFFD` stands for it.
  return typeof value === 'string' && value !== '' ? value.replaceAll('\u0000', '\uFFFD') : null;
}

function asFlag(query: Readonly<Record<string, unknown>>, name: string): boolean | null {
  const value = asText(query[name]);
  if (value === null) return null;
  if (value === 'true' || value === 'false') return value === 'true';
  throw invalid([{ path: `/${name}`, message: 'must be true or false' }]);
}
