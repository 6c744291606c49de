import type { AppliedReport } from '../balances/report.js';
import type { Delivery, SessionEvent } from '../broker/delivery.js';
import { DomainError } from '../errors.js';
import type { Payment } from '../payments/payment.js';
import type { Reading } from '../readings/reading.js';
import { isLiveEvent, isMeterId, type LiveEvent } from './event.js';
import {
  balanceChanged,
  consumptionApplied,
  paymentReceived,
  readingsStored,
  sessionsRecorded,
  statusesSaid,
} from './occurrences.js';

/** What a message of the flow has to tell. */
export interface News {
  readonly count: number;
  /** Made only when somebody may want it. */
  readonly make: () => readonly LiveEvent[];
  /** Injections that ended well: their meters and units must be looked up. */
  readonly injections: readonly string[];
}

const nothing: News = { count: 0, make: () => [], injections: [] };

/**
 * Understands what other nodes send through their outputs, by the name of the output (`msg.topic`), and ready events
 * `{event, data}`, one or a list. What is neither is no news.
 * @throws DomainError SCHEMA_INVALID for something that would be an event and is wrong
 */
export function newsOf(topic: string | undefined, payload: unknown): News {
  const items: readonly unknown[] = Array.isArray(payload) ? payload : [payload];
  const [first] = items;
  if (typeof first !== 'object' || first === null) return nothing;
  if ('event' in first && 'data' in first) return ready(items);
  const tell = topic !== undefined && Object.hasOwn(sources, topic) ? sources[topic] : undefined;
  return tell === undefined ? nothing : tell(items, first as Fields);
}

type Fields = Readonly<Record<string, unknown>>;

/** By the name of the output; each looks whether the message is what it seems. */
const sources: Readonly<Record<string, ((items: readonly unknown[], first: Fields) => News) | undefined>> = {
  stored: (items, first) =>
    'energy' in first && 'time' in first ? many(items as Reading[], readingsStored) : nothing,
  applied(items, first) {
    if ('injection_id' in first) return injected([first['injection_id']]);
    return 'units' in first && 'balance' in first
      ? many(items as AppliedReport[], consumptionApplied)
      : nothing;
  },
  late: (_items, { id, status }) => (status === 'success' ? injected([id]) : nothing),
  accepted: (items, first) => ('receipt' in first ? paid(items) : nothing),
  suspense: (items, first) => ('receipt' in first ? paid(items) : nothing),
  kept: (items, first) => ('pattern' in first ? few(statusesSaid(items as Delivery[])) : nothing),
  recorded: (items, first) =>
    'client_id' in first ? few(sessionsRecorded(items as SessionEvent[])) : nothing,
  sessions: (items, first) =>
    'client_id' in first ? few(sessionsRecorded(items as SessionEvent[])) : nothing,
  result: (_items, first) => few(moved(first)),
  minted: (items) => few(items.flatMap(minted)),
};

function paid(items: readonly unknown[]): News {
  return few((items as readonly Payment[]).flatMap(paymentReceived));
}

/** An answer of the ledger that moved units: an allocation, or a reversal. */
function moved({ meter_id, balance, units, receipt, tariff_plan }: Fields): LiveEvent[] {
  if (!isMeterId(meter_id) || typeof balance !== 'number' || typeof units !== 'number') return [];
  const updated_at = new Date().toISOString();
  if (typeof tariff_plan === 'string')
    return [balanceChanged({ meter_id, balance, units, reason: 'allocation', updated_at })];
  if (typeof receipt !== 'string') return [];
  return [balanceChanged({ meter_id, balance, units: -units, reason: 'reversal', updated_at })];
}

function minted(item: unknown): LiveEvent[] {
  const { reading_id, tx_signature, amount, meter_id } = item as Fields;
  if (reading_id === undefined || typeof tx_signature !== 'string') return [];
  const data = { reading_id, tx_signature, amount, meter_id: isMeterId(meter_id) ? meter_id : null };
  return [{ event: 'MeterReadingMinted', data }];
}

function ready(items: readonly unknown[]): News {
  if (items.every(isLiveEvent)) return few(items);
  throw new DomainError(
    'SCHEMA_INVALID',
    'An event is {event, data} with one of the known names, and data.meter_id a meter or null.',
  );
}

function injected(ids: readonly unknown[]): News {
  return { ...nothing, injections: ids.filter((id) => typeof id === 'string') };
}

function many<T>(items: readonly T[], tell: (items: readonly T[]) => LiveEvent[]): News {
  return { count: items.length, make: () => tell(items), injections: [] };
}

function few(events: readonly LiveEvent[]): News {
  return { count: events.length, make: () => events, injections: [] };
}
