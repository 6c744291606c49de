import { Ajv } from 'ajv';
import { Type } from 'typebox';
import { DomainError } from '../errors.js';

/** A device with the secrets that were handed out for it, just now. */
export interface CardRequest {
  readonly id: string;
  readonly meter_id: string;
  readonly type: string;
  readonly name: string | null;
  readonly location: string | null;
  readonly drn: string | null;
  readonly mqtt_user: string;
  readonly mqtt_password: string;
  readonly key: { readonly algorithm: string; readonly secret: string | null } | null;
  /** The host by which the one who asks found this machine; '' when that is not known. */
  readonly seen_as: string;
}

const word = Type.String({ pattern: '^[A-Za-z0-9_-]{1,50}$' });
const textOrNull = { type: ['string', 'null'], maxLength: 200 };

/** The answer of `device-registry` to create, and that of `device-keys` as `key`; more fields do not matter. */
const schema = Type.Object({
  id: word,
  meter_id: word,
  type: Type.String({ maxLength: 32 }),
  mqtt_user: word,
  mqtt_password: Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f]*$' }),
  name: Type.Optional(textOrNull),
  location: Type.Optional(textOrNull),
  drn: Type.Optional(textOrNull),
  seen_as: Type.Optional(Type.String({ pattern: '^(?:[A-Za-z0-9.-]{1,253}|\\[?[0-9a-fA-F:.]{2,45}\\]?)?$' })),
  key: Type.Optional({
    ...Type.Object({
      algorithm: Type.String({ maxLength: 32 }),
      secret: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
    }),
    type: ['object', 'null'],
  }),
});

interface Given extends Pick<CardRequest, 'id' | 'meter_id' | 'type' | 'mqtt_user' | 'mqtt_password'> {
  readonly name?: string | null;
  readonly location?: string | null;
  readonly drn?: string | null;
  readonly seen_as?: string;
  readonly key?: { readonly algorithm: string; readonly secret?: string } | null;
}

const isRequest = new Ajv({ allErrors: true }).compile<Given>(schema);

/** @throws DomainError SCHEMA_INVALID naming each field, and never a value: they are secrets */
export function asCardRequest(input: unknown): CardRequest {
  if (!isRequest(input)) {
    const details = (isRequest.errors ?? []).map(({ instancePath, params, message = 'is wrong' }) => {
      const missing: unknown = params['missingProperty'];
      return typeof missing === 'string'
        ? { path: `${instancePath}/${missing}`, message: 'is missing' }
        : { path: instancePath, message };
    });
    throw new DomainError('SCHEMA_INVALID', 'A card needs a device and its password.', { details });
  }
  const { name = null, location = null, drn = null, seen_as = '', key = null } = input;
  return {
    id: input.id,
    meter_id: input.meter_id,
    type: input.type,
    name,
    location,
    drn,
    mqtt_user: input.mqtt_user,
    mqtt_password: input.mqtt_password,
    key: key === null ? null : { algorithm: key.algorithm, secret: key.secret ?? null },
    seen_as,
  };
}
