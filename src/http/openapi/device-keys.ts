import { Type, type TSchema } from 'typebox';
import type { IssuedKey, RevokedDevice, RotatedKey } from '../../devices/keys/device-keys.js';
import { algorithms } from '../../devices/keys/key.js';
import type { KeysOfDevice, KnownKey } from '../../devices/keys/key-list.js';
import { newKey, rotation } from '../../devices/keys/key-schema.js';
import { json, moment, nullOr } from './answers.js';
import { captchaToken, named } from './lists.js';
import { ref, type Parameter, type Paths, type Schemas } from './model.js';
import { refusals } from './refusals.js';

const tags = ['Device keys'] as const;

const issued = {
  meter_id: Type.String(),
  key_id: Type.String({ format: 'uuid' }),
  algorithm: Type.String({ enum: [...algorithms] }),
  secret: Type.Optional(
    Type.String({ pattern: '^[0-9a-f]{64}$', description: 'hmac-sha256 only; shown this once.' }),
  ),
  created_at: moment(),
  due_at: { ...moment(), description: 'It should be rotated by then.' },
  expires_at: { ...moment(), description: 'It is refused from then on: `KEY_EXPIRED`.' },
} satisfies Record<keyof IssuedKey, TSchema>;

const rotated = {
  ...issued,
  previous_key_id: Type.String({ format: 'uuid' }),
  previous_key_valid_until: { ...moment(), description: 'Until then both keys are good.' },
  mqtt_user: Type.Optional(Type.String()),
  mqtt_password: Type.Optional(Type.String({ description: 'Shown this once; only its hash is stored.' })),
  previous_password_valid_until: Type.Optional(moment()),
} satisfies Record<keyof RotatedKey, TSchema>;

const revoked = {
  meter_id: Type.String(),
  revoked_keys: Type.Integer({ minimum: 0, description: 'How many were still valid.' }),
  revoked_at: moment(),
} satisfies Record<keyof RevokedDevice, TSchema>;

const known = {
  key_id: Type.String({ format: 'uuid' }),
  algorithm: Type.String({ enum: [...algorithms] }),
  state: Type.String({
    enum: ['current', 'grace', 'expired', 'revoked'],
    description: 'grace: has a successor, and is good still.',
  }),
  due: Type.Boolean({ description: 'The current one, and to be rotated by now.' }),
  created_at: moment(),
  due_at: moment(),
  expires_at: moment(),
  revoked_at: nullOr(moment()),
  last_used_at: nullOr(moment(), 'Up to a minute late.'),
} satisfies Record<keyof KnownKey, TSchema>;

const keysOfDevice = {
  meter_id: Type.String(),
  revoked_at: nullOr(moment(), 'Not null: its login is refused.'),
  keys: Type.Array(ref('KnownKey'), { description: 'Newest first; the last 50.' }),
} satisfies Record<keyof KeysOfDevice, TSchema>;

export const deviceKeySchemas: Schemas = {
  KnownKey: Type.Object(known),
  KeysOfDevice: Type.Object(keysOfDevice),
  NewKey: newKey,
  Rotation: rotation,
  IssuedKey: Type.Object(issued),
  RotatedKey: Type.Object(rotated),
  RevokedDevice: Type.Object(revoked),
};

const example: IssuedKey = {
  meter_id: 'METER001',
  key_id: '5a1d3f62-2f0c-4a53-8a0e-6d8a4a2f9b10',
  algorithm: 'hmac-sha256',
  secret: '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
  created_at: '2026-11-20T12:00:00.000Z',
  due_at: '2027-02-18T12:00:00.000Z',
  expires_at: '2027-03-20T12:00:00.000Z',
};

const which: Parameter = named('meter_id', 'Its meter_id or its id.', 'METER001');

export const deviceKeyPaths: Paths = {
  '/api/admin/devices/register': {
    post: {
      operationId: 'registerKey',
      tags,
      summary: 'Register the signing key of a meter',
      description:
        'An HMAC secret is made here and shown this once; of an Ed25519 pair only the public key comes here. ' +
        'Admits a revoked device again.',
      parameters: [captchaToken],
      requestBody: {
        required: true,
        content: json(ref('NewKey'), { meter_id: 'METER001', algorithm: 'hmac-sha256' }),
      },
      responses: {
        201: { description: 'Registered.', content: json(ref('IssuedKey'), example) },
        ...refusals(['SCHEMA_INVALID', 'METER_UNKNOWN', 'KEY_EXISTS'], { body: true, guard: 'captcha' }),
      },
    },
  },
  '/api/admin/devices/{meter_id}/rotate': {
    post: {
      operationId: 'rotateKey',
      tags,
      summary: 'Give a meter its next signing key',
      description:
        'The old key, and the old password when a new one is asked for, stay valid for the stated grace.',
      parameters: [which],
      requestBody: {
        required: true,
        content: json(ref('Rotation'), { password: true, grace_seconds: 86_400 }),
      },
      responses: {
        200: {
          description: 'The new key.',
          content: json(ref('RotatedKey'), {
            ...example,
            previous_key_id: '0b9f4c1e-6f0e-4d7b-9a52-3c1f5f0f7a11',
            previous_key_valid_until: '2026-11-21T12:00:00.000Z',
            mqtt_user: 'METER001',
            mqtt_password: 'rm3Vq0x7vJmZB1Zk4y8sQ2pT6wNcLh9d',
            previous_password_valid_until: '2026-11-21T12:00:00.000Z',
          }),
        },
        ...refusals(['SCHEMA_INVALID', 'METER_UNKNOWN', 'KEY_UNKNOWN'], { body: true }),
      },
    },
  },
  '/api/admin/devices/{meter_id}/keys': {
    get: {
      operationId: 'listKeys',
      tags,
      summary: 'List the signing keys of a meter',
      description: 'What it has and had, without secrets.',
      parameters: [which],
      responses: {
        200: {
          description: 'Its keys.',
          content: json(ref('KeysOfDevice'), {
            meter_id: 'METER001',
            revoked_at: null,
            keys: [
              {
                key_id: example.key_id,
                algorithm: 'hmac-sha256',
                state: 'current',
                due: false,
                created_at: example.created_at,
                due_at: example.due_at,
                expires_at: example.expires_at,
                revoked_at: null,
                last_used_at: '2026-11-20T12:15:00.000Z',
              },
            ],
          } satisfies KeysOfDevice),
        },
        ...refusals(['METER_UNKNOWN']),
      },
    },
  },
  '/api/admin/devices/{meter_id}/revoke': {
    post: {
      operationId: 'revokeDevice',
      tags,
      summary: 'Revoke the keys and the login of a meter',
      description: 'Its live sessions close within a second, on every instance. Again: nothing changes.',
      parameters: [which],
      requestBody: { required: true, content: json(Type.Object({}), {}) },
      responses: {
        200: {
          description: 'Revoked.',
          content: json(ref('RevokedDevice'), {
            meter_id: 'METER001',
            revoked_keys: 1,
            revoked_at: '2026-11-20T12:00:00.000Z',
          }),
        },
        ...refusals(['METER_UNKNOWN'], { body: true }),
      },
    },
  },
};
