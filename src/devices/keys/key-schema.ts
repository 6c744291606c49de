import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { Type } from 'typebox';
import { DomainError, type ErrorDetail } from '../../errors.js';
import { uuidPattern } from '../../uuid.js';
import { algorithms, type Algorithm } from './key.js';

const algorithm = Type.String({ enum: [...algorithms] });
const publicKey = Type.String({
  maxLength: 1000,
  description: 'Ed25519 only: the 32 bytes of the public key as 64 hex digits, or PEM.',
});

/** What POST /api/admin/devices/register takes ([H-3]); the API's document shows this very schema. */
export const newKey = Type.Object({
  meter_id: Type.String({ pattern: '^[A-Za-z0-9_-]{1,50}$', description: 'A device of the registry.' }),
  user_id: Type.Optional(
    Type.String({
      pattern: uuidPattern,
      description: 'Whose key it is; the device’s owner when absent.',
    }),
  ),
  algorithm,
  public_key: Type.Optional(publicKey),
});

/** What POST /api/admin/devices/{meter_id}/rotate takes ([H-4]). */
export const rotation = Type.Object({
  algorithm: Type.Optional({ ...algorithm, description: 'That of the present key when absent.' }),
  public_key: Type.Optional(publicKey),
  password: Type.Optional(Type.Boolean({ description: 'A new MQTT password as well.' })),
  grace_seconds: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 31_536_000,
      description:
        'How long the old key (and password) stays valid; DEVICE_KEY_GRACE_DAYS when absent, 0 revokes at once.',
    }),
  ),
});

export interface NewKey {
  readonly meter_id: string;
  readonly user_id?: string;
  readonly algorithm: Algorithm;
  readonly public_key?: string;
}

export interface Rotation {
  readonly algorithm?: Algorithm;
  readonly public_key?: string;
  readonly password?: boolean;
  readonly grace_seconds?: number;
}

const ajv = new Ajv({ allErrors: true });
const isNewKey = ajv.compile<NewKey>(newKey);
const isRotation = ajv.compile<Rotation>(rotation);

/** @throws DomainError SCHEMA_INVALID naming each field */
export function asNewKey(input: unknown): NewKey {
  return checked(input, isNewKey);
}

/** An empty body asks for a new key with the defaults. @throws as `asNewKey` */
export function asRotation(input: unknown): Rotation {
  return checked(input ?? {}, isRotation);
}

export function invalidKey(details: readonly ErrorDetail[]): DomainError {
  const sentence = details.map(({ path, message }) => `${path.slice(1) || 'the body'} ${message}`).join('; ');
  return new DomainError('SCHEMA_INVALID', `The key is not valid: ${sentence}.`, { details });
}

function checked<T>(input: unknown, isValid: ValidateFunction<T>): T {
  if (isValid(input)) return input;
  throw invalidKey((isValid.errors ?? []).map(detailOf));
}

function detailOf({ instancePath, keyword, params, message = 'is wrong' }: ErrorObject): ErrorDetail {
  const allowed = keyword === 'enum' ? `: ${String(params['allowedValues'])}` : '';
  return keyword === 'required'
    ? { path: `${instancePath}/${String(params['missingProperty'])}`, message: 'is missing' }
    : { path: instancePath, message: `${message}${allowed}` };
}
