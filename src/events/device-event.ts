/** In the words of the wire ([M-8]). */
export const eventTypes = ['device.created', 'device.updated', 'device.deleted'] as const;
export type DeviceEventType = (typeof eventTypes)[number];

/** What others may know of a device; of one that was deleted, the last that was known. kW, V, RFC 3339. */
export interface DeviceData {
  readonly id: string;
  readonly name: string | null;
  readonly type: string;
  readonly location: string | null;
  readonly status: string;
  readonly base_power: number | null;
  readonly base_voltage: number | null;
  readonly meter_id: string;
  readonly drn: string | null;
  readonly created_at: string;
  readonly updated_at: string;
}

/** Exactly what is published. */
export interface DeviceEvent {
  readonly event_type: DeviceEventType;
  readonly device_id: string;
  /** When it happened: RFC 3339 in UTC with microseconds, rising strictly per device. */
  readonly timestamp: string;
  readonly device_data: DeviceData;
  readonly metadata: { readonly source: 'data-ingestion-service' };
}

export function eventTopic({ device_id, event_type }: Pick<DeviceEvent, 'device_id' | 'event_type'>): string {
  return `energy/events/devices/${device_id}/${event_type}`;
}

/** A row of the log. */
export interface EventRow {
  readonly id: string;
  readonly event_type: DeviceEventType;
  readonly device_id: string;
  readonly timestamp: string;
  readonly device_data: DeviceData;
}

/** What is selected as `EventRow`. */
export const eventColumns = `e.id::text, e.event_type, e.device_id, e.device_data,
  to_char(e.occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as timestamp`;

/** In the order in which people read it; jsonb has one of its own. */
export function asEvent({ event_type, device_id, timestamp, device_data: of }: EventRow): DeviceEvent {
  return {
    event_type,
    device_id,
    timestamp,
    device_data: {
      id: of.id,
      name: of.name,
      type: of.type,
      location: of.location,
      status: of.status,
      base_power: of.base_power,
      base_voltage: of.base_voltage,
      meter_id: of.meter_id,
      drn: of.drn,
      created_at: of.created_at,
      updated_at: of.updated_at,
    },
    metadata: { source: 'data-ingestion-service' },
  };
}
