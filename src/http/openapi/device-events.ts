import { Type, type TSchema } from 'typebox';
import { eventTypes, type DeviceData } from '../../events/device-event.js';
import { logLimit, type LoggedEvent } from '../../events/event-log.js';
import { json, moment, nullOr } from './answers.js';
import { query } from './lists.js';
import { ref, type Paths, type Schemas } from './model.js';
import { refusals } from './refusals.js';

const deviceData = {
  id: Type.String(),
  name: nullOr(Type.String()),
  type: Type.String(),
  location: nullOr(Type.String()),
  status: Type.String(),
  base_power: nullOr(Type.Number({ description: 'kW' })),
  base_voltage: nullOr(Type.Number({ description: 'V' })),
  meter_id: Type.String(),
  drn: nullOr(Type.String()),
  created_at: moment(),
  updated_at: moment(),
} satisfies Record<keyof DeviceData, TSchema>;

const event = {
  id: Type.Integer({ minimum: 1, description: 'Its place in the log.' }),
  event_type: Type.String({ enum: [...eventTypes] }),
  device_id: Type.String(),
  timestamp: moment(),
  device_data: ref('DeviceData'),
  metadata: Type.Object({ source: Type.Literal('data-ingestion-service') }),
} satisfies Record<keyof LoggedEvent, TSchema>;

export const deviceEventSchemas: Schemas = {
  DeviceData: Type.Object(deviceData, {
    description: 'The device as it was then; of one that was deleted, the last that was known.',
  }),
  DeviceEvent: Type.Object(event),
};

const example: LoggedEvent = {
  id: 42,
  event_type: 'device.created',
  device_id: '0b0f0c8e-9b1f-4d0e-8a35-6f5a0d3c9a11',
  timestamp: '2026-11-21T09:00:00.123456Z',
  device_data: {
    id: '0b0f0c8e-9b1f-4d0e-8a35-6f5a0d3c9a11',
    name: 'HVAC Unit 1',
    type: 'hvac',
    location: 'Building A - Floor 2',
    status: 'offline',
    base_power: null,
    base_voltage: null,
    meter_id: 'HVAC-1',
    drn: null,
    created_at: '2026-11-21T09:00:00.123Z',
    updated_at: '2026-11-21T09:00:00.123Z',
  },
  metadata: { source: 'data-ingestion-service' },
};

export const deviceEventPaths: Paths = {
  '/api/device-events': {
    get: {
      operationId: 'listDeviceEvents',
      tags: ['Devices'],
      summary: 'What happened to devices, in order',
      description:
        'The log of device events. Ask again with `after` = `next`: nothing is missed, since an event is shown once no earlier one can still come.',
      parameters: [
        query(
          'after',
          'The id behind which to begin; 0 is the beginning.',
          Type.Integer({ minimum: 0, default: 0 }),
        ),
        query(
          'limit',
          'How many at most.',
          Type.Integer({ minimum: 1, maximum: logLimit.most, default: logLimit.preset }),
        ),
        query('device_id', 'Of this device only.', Type.String()),
      ],
      responses: {
        200: {
          description: 'The next events, the oldest first.',
          content: json(
            Type.Object({
              data: Type.Array(ref('DeviceEvent')),
              next: Type.Integer({
                minimum: 0,
                description: 'The `after` of the next page; stays as it is at the end of the log.',
              }),
            }),
            { data: [example], next: 42 },
          ),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
};
