import { isMockId } from '../devices/mock-id.js';
import { DomainError, type ErrorDetail } from '../errors.js';

/** What happened to a real device ([M-8]), as far as its mock is concerned. */
export interface MockEvent {
  readonly real_id: string;
  /** RFC 3339, as it came: with its microseconds. */
  readonly at: string;
  readonly gone: boolean;
  readonly type: string;
  readonly name: string | null;
  readonly location: string | null;
  /** kW and V; null: those of the type. */
  readonly base_power: number | null;
  readonly base_voltage: number | null;
}

/** Where device events are heard ([M-8]). */
export const eventFilter = 'energy/events/devices/#';
/** So many characters of the real one's id fit beside it into the 50 of a name. */
const realIdMax = 40;

const kinds = new Set(['device.created', 'device.updated', 'device.deleted']);
const time = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/;
/** A clock that is wrong by more would keep later events of the same device from being applied. */
const aheadMaxMs = 3_600_000;

/**
 * Reads an event, from whichever program it comes. `topic`, if it is one of [M-8], must name the same device.
 * @returns null for an event of a mock @throws DomainError SCHEMA_INVALID naming each field
 */
export function asMockEvent(input: unknown, topic = '', now = Date.now()): MockEvent | null {
  const event = isObject(input) ? input : {};
  const { event_type: kind, device_id: id, timestamp, device_data: found } = event;
  const said = isObject(found) ? found : {};
  const problems: ErrorDetail[] = [];
  const refuse = (path: string, message: string): void => void problems.push({ path, message });
  if (typeof kind !== 'string' || !kinds.has(kind)) refuse('/event_type', `must be ${[...kinds].join(', ')}`);
  if (typeof id !== 'string' || !/^[A-Za-z0-9_-]+$/.test(id))
    refuse('/device_id', 'must be letters, digits, _ and -');
  else if (id.length > realIdMax)
    refuse('/device_id', `has ${id.length} characters; a mock's name has room for ${realIdMax}`);
  else if (!isTopicOf(topic, id)) refuse('/device_id', `is not the device of the topic ${topic}`);
  if (typeof timestamp !== 'string' || !time.test(timestamp) || Number.isNaN(Date.parse(timestamp)))
    refuse('/timestamp', 'must be a time of RFC 3339');
  else if (Date.parse(timestamp) > now + aheadMaxMs) refuse('/timestamp', 'is more than an hour ahead');
  const gone = kind === 'device.deleted';
  if (!gone && !isObject(found)) refuse('/device_data', 'must hold the device');
  for (const field of ['base_power', 'base_voltage'] as const)
    if (!isQuantity(said[field])) refuse(`/device_data/${field}`, 'must be a number from 0 to 1e9, or null');
  if (problems.length > 0) {
    const list = problems.map(({ path, message }) => `${path} ${message}`).join('; ');
    throw new DomainError('SCHEMA_INVALID', `Not a device event: ${list}.`, { details: problems });
  }
  if (isMockId(id as string)) return null;
  return {
    real_id: id as string,
    at: timestamp as string,
    gone,
    type: wordOf(said['type']),
    name: textOf(said['name']),
    location: textOf(said['location']),
    base_power: (said['base_power'] ?? null) as number | null,
    base_voltage: (said['base_voltage'] ?? null) as number | null,
  };
}

function isTopicOf(topic: string, id: string): boolean {
  const [, of] = /^energy\/events\/devices\/([^/]*)/.exec(topic) ?? [];
  return of === undefined || of === id;
}

/** The registry's form of a type; what has another is some other device, as [L-3] has it. */
function wordOf(type: unknown): string {
  const word = typeof type === 'string' ? type.toLowerCase() : '';
  return /^[a-z0-9_-]{1,32}$/.test(word) ? word : 'other';
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value.replaceAll('\0', '\uFFFD').slice(0, 1000) : null;
}

function isQuantity(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    (typeof value === 'number' && Number.isFinite(value) && value >= 0 && value <= 1e9)
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
