import { DomainError, type ErrorDetail } from '../errors.js';
import { eventNames, isEventName, isMeterId, type EventName, type LiveEvent } from './event.js';

/** Which events somebody wants. */
export interface Selection {
  readonly events: ReadonlySet<EventName>;
  /** Null: of all meters, and those of none. */
  readonly meters: ReadonlySet<string> | null;
}

/** What a client asks for, in the query of its address or in a message. */
export interface Wish extends Selection {
  /** The last event that it has seen; null: from now on. */
  readonly lastEventId: string | null;
}

export const metersMax = 1_000;
const idLengthMax = 100;
const fields = ['events', 'meters', 'last_event_id'] as const;

/** `?events=BalanceChanged,PaymentReceived&meters=METER001&last_event_id=…`; @throws DomainError SCHEMA_INVALID */
export function wishOfQuery(query: URLSearchParams): Wish {
  const said: Record<string, unknown> = {};
  for (const field of fields) {
    const values = query.getAll(field);
    if (values.length === 0) continue;
    said[field] = field === 'last_event_id' ? values.at(-1) : values.flatMap((value) => value.split(','));
  }
  return wishOf(said);
}

/** `{events?, meters?, last_event_id?}`: absent is all, an empty list is none; @throws DomainError SCHEMA_INVALID */
export function wishOf(said: Readonly<Record<string, unknown>>): Wish {
  const wrong: ErrorDetail[] = [];
  const events = listOf(said, 'events', eventNames.length, isEventName, wrong);
  const meters = listOf(said, 'meters', metersMax, isMeterId, wrong);
  const lastEventId = said['last_event_id'] ?? null;
  const isId = typeof lastEventId === 'string' && lastEventId.length <= idLengthMax;
  if (lastEventId !== null && !isId)
    wrong.push({ path: '/last_event_id', message: `must be a text of at most ${idLengthMax} characters` });
  if (wrong.length > 0) {
    const sentence = wrong.map(({ path, message }) => `${path.slice(1)} ${message}`).join('; ');
    throw new DomainError('SCHEMA_INVALID', `The subscription is wrong: ${sentence}.`, { details: wrong });
  }
  return {
    events: new Set(events ?? eventNames),
    meters: meters === null ? null : new Set(meters),
    lastEventId: isId && lastEventId !== '' ? lastEventId : null,
  };
}

/** `none` stands for an empty list, which a query cannot say otherwise. */
function listOf<T extends string>(
  said: Readonly<Record<string, unknown>>,
  field: string,
  most: number,
  isOne: (value: unknown) => value is T,
  wrong: ErrorDetail[],
): T[] | null {
  const value = said[field] ?? null;
  if (value === null) return null;
  if (!Array.isArray(value)) {
    wrong.push({ path: `/${field}`, message: 'must be a list' });
    return null;
  }
  const items: unknown[] = value.length === 1 && (value[0] === 'none' || value[0] === '') ? [] : value;
  if (items.length > most) wrong.push({ path: `/${field}`, message: `must have at most ${most} entries` });
  else if (!items.every(isOne)) wrong.push({ path: `/${field}`, message: allowed[field] ?? 'is wrong' });
  else return [...new Set(items)];
  return null;
}

const allowed: Readonly<Record<string, string>> = {
  events: `must be of ${eventNames.join(', ')}`,
  meters: 'must be meter_ids: 1 to 50 of A-Z a-z 0-9 _ -',
};

/** What is left of a wish for somebody who may see these meters only; null: he may see all. */
export function within(wish: Selection, own: ReadonlySet<string> | null): Selection {
  if (own === null) return wish;
  const { events, meters } = wish;
  return { events, meters: meters === null ? own : new Set([...meters].filter((meter) => own.has(meter))) };
}

export function selects({ events, meters }: Selection, { event, data }: LiveEvent): boolean {
  if (!events.has(event)) return false;
  return meters === null || (data.meter_id !== null && meters.has(data.meter_id));
}

/** The same for equal selections. */
export function keyOf({ events, meters }: Selection): string {
  const names = eventNames.map((name) => (events.has(name) ? '1' : '0')).join('');
  return meters === null ? names : `${names} ${[...meters].toSorted().join(' ')}`;
}
