/** What /ws tells of ([L-1]). */
export const eventNames = [
  'MeterReadingSubmitted',
  'MeterReadingMinted',
  'BalanceChanged',
  'PaymentReceived',
  'TokenInjected',
  'DeviceStatus',
] as const;

export type EventName = (typeof eventNames)[number];

/** Plain JSON. Energy in kWh or units with at most 4 decimals, money with at most 2, times RFC 3339 in UTC. */
export interface LiveEvent {
  readonly event: EventName;
  readonly data: EventData;
}

/** `meter_id`: whom it is about; null is for those who see every meter. */
export type EventData = { readonly meter_id: string | null } & Readonly<Record<string, unknown>>;

/** Channels between instances, in the order of REDIS_PUBSUB_CHANNELS: money and tokens; what meters say. */
export const channelKinds = ['market', 'meter'] as const;
export type ChannelKind = (typeof channelKinds)[number];

export const channelOf: Readonly<Record<EventName, ChannelKind>> = {
  MeterReadingSubmitted: 'meter',
  MeterReadingMinted: 'market',
  BalanceChanged: 'meter',
  PaymentReceived: 'market',
  TokenInjected: 'market',
  DeviceStatus: 'meter',
};

export function isEventName(value: unknown): value is EventName {
  return eventNames.some((name) => name === value);
}

const meterId = /^[A-Za-z0-9_-]{1,50}$/;

/** What a flow, or another instance, hands in. */
export function isLiveEvent(value: unknown): value is LiveEvent {
  if (typeof value !== 'object' || value === null || !('event' in value) || !('data' in value)) return false;
  const { event, data } = value;
  if (!isEventName(event) || typeof data !== 'object' || data === null || Array.isArray(data)) return false;
  const { meter_id } = data as { meter_id?: unknown };
  return meter_id === null || isMeterId(meter_id);
}

export function isMeterId(value: unknown): value is string {
  return typeof value === 'string' && meterId.test(value);
}
