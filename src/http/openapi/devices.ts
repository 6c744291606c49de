import { Type, type TSchema } from 'typebox';
import { deviceSorts, type Device, type DeviceFilter } from '../../devices/device.js';
import { devicePatch, newDevice } from '../../devices/device-schema.js';
import { captchaToken, listParameters, named, pageOf, query } from './lists.js';
import { json, moment, nullOr } from './answers.js';
import { ref, type Parameter, type Paths, type Schemas } from './model.js';
import { refusals } from './refusals.js';

const tags = ['Devices'] as const;

const device = {
  id: Type.String({ description: 'Given by the registry.' }),
  type: Type.String(),
  mqtt_user: Type.String({ description: 'The user name of its MQTT login.' }),
  created_at: moment(),
  meter_id: Type.String({ pattern: '^[A-Za-z0-9_-]{1,50}$' }),
  drn: nullOr(Type.String({ pattern: '^(\\d{11}|\\d{13})$' })),
  name: nullOr(Type.String()),
  location: nullOr(Type.String()),
  status: Type.String(),
  user_id: nullOr(Type.String({ format: 'uuid' }), 'Whose it is.'),
  base_power: nullOr(Type.Number(), 'kW.'),
  base_voltage: nullOr(Type.Number(), 'V.'),
  mock: Type.Boolean({ description: 'A virtual one of the demo.' }),
  tariff_plan: Type.String({ description: 'By which it is sold energy.' }),
  online: Type.Boolean({ description: 'Connected at this moment.' }),
  last_seen_at: nullOr(moment()),
  revoked_at: nullOr(moment()),
  updated_at: moment(),
} satisfies Record<keyof Device, TSchema>;

export const deviceSchemas: Schemas = {
  NewDevice: newDevice,
  DevicePatch: devicePatch,
  Device: Type.Object(device),
  RegisteredDevice: Type.Object({
    ...device,
    mqtt_password: Type.String({ description: 'Shown this once; only its hash is stored.' }),
  }),
  DevicePage: pageOf('Device'),
};

const example: Device = {
  id: '0b9f4c1e-6f0e-4d7b-9a52-3c1f5f0f7a11',
  type: 'meter',
  mqtt_user: 'METER001',
  created_at: '2026-11-20T12:00:00.000Z',
  meter_id: 'METER001',
  drn: '09000030529',
  name: 'Kitchen',
  location: 'House 12',
  status: 'active',
  user_id: '5a1d3f62-2f0c-4a53-8a0e-6d8a4a2f9b10',
  base_power: 3.5,
  base_voltage: 230,
  mock: false,
  tariff_plan: 'default',
  online: true,
  last_seen_at: '2026-11-20T12:15:00.000Z',
  revoked_at: null,
  updated_at: '2026-11-20T12:00:00.000Z',
};

const filters = {
  id: Type.String(),
  meter_id: Type.String(),
  drn: Type.String(),
  type: Type.String(),
  name: Type.String(),
  location: Type.String(),
  status: Type.String(),
  user_id: Type.String(),
  mock: Type.Boolean(),
  online: Type.Boolean(),
  seen: Type.Boolean(),
  revoked: Type.Boolean(),
  search: Type.String(),
} satisfies Record<keyof DeviceFilter, TSchema>;

const filterMeanings: Readonly<Record<string, string>> = {
  mock: 'Virtual ones, or the others.',
  online: 'Connected ones, or the others.',
  seen: 'Those that were connected at least once, or the others.',
  revoked: 'Revoked ones, or the others.',
  search: 'Part of the meter_id, name, location, drn or id, in any case.',
};

const which: Parameter = named('id', 'Its id or its meter_id.', 'METER001');

export const devicePaths: Paths = {
  '/devices': {
    post: {
      operationId: 'registerDevice',
      tags,
      summary: 'Register a device and get its MQTT login',
      description: 'The password is shown this once. Without `user_id` the device belongs to the caller.',
      parameters: [captchaToken],
      requestBody: {
        required: true,
        content: json(ref('NewDevice'), { type: 'meter', meter_id: 'METER001', name: 'Kitchen' }),
      },
      responses: {
        200: {
          description: 'Registered.',
          content: json(ref('RegisteredDevice'), {
            ...example,
            online: false,
            last_seen_at: null,
            mqtt_password: 'rm3Vq0x7vJmZB1Zk4y8sQ2pT6wNcLh9d',
          }),
        },
        ...refusals(['SCHEMA_INVALID', 'DRN_CHECK_DIGIT', 'METER_ID_TAKEN', 'DRN_TAKEN'], {
          body: true,
          guard: 'captcha',
        }),
      },
    },
    get: {
      operationId: 'listDevices',
      tags,
      summary: 'List devices by page and filter',
      parameters: [
        ...listParameters(deviceSorts),
        ...Object.entries(filters).map(([name, schema]) =>
          query(name, filterMeanings[name] ?? `Equal to this ${name}.`, schema),
        ),
      ],
      responses: {
        200: {
          description: 'A page of devices.',
          content: json(ref('DevicePage'), { data: [example], page: 1, limit: 20, total: 1 }),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
  '/devices/{id}': {
    get: {
      operationId: 'getDevice',
      tags,
      summary: 'Show a device',
      parameters: [which],
      responses: {
        200: { description: 'The device.', content: json(ref('Device'), example) },
        ...refusals(['DEVICE_UNKNOWN']),
      },
    },
    patch: {
      operationId: 'changeDevice',
      tags,
      summary: 'Change a device',
      description: '`null` clears a field, an absent one stays. The meter_id stays for ever.',
      parameters: [which],
      requestBody: { required: true, content: json(ref('DevicePatch'), { name: 'Kitchen', drn: null }) },
      responses: {
        200: { description: 'The device as it is now.', content: json(ref('Device'), example) },
        ...refusals(['SCHEMA_INVALID', 'DRN_CHECK_DIGIT', 'DEVICE_UNKNOWN', 'DRN_TAKEN'], { body: true }),
      },
    },
    delete: {
      operationId: 'removeDevice',
      tags,
      summary: 'Remove a device',
      description: 'Closes its live session. Its readings stay.',
      parameters: [which],
      responses: {
        200: { description: 'The device as it was.', content: json(ref('Device'), example) },
        ...refusals(['DEVICE_UNKNOWN']),
      },
    },
  },
};
