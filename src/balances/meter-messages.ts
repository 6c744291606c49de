import type { Delivery, SessionEvent } from '../broker/delivery.js';
import { covers } from '../devices/access.js';
import { parseTimestamp } from '../readings/timestamp.js';
import type { BalanceReport } from './confirmations.js';
import { energyOf, jsonOf } from './report-rules.js';
import type { MeterStatus, StatusReport } from './status.js';
import type { Wake } from './wanted-commands.js';

const textMax = 200;

/** [M-3]; null when it is none. */
export function statusOf({ payload, meter_id, received_at }: Delivery): StatusReport | null {
  const input = objectOf(payload);
  if (input === null || typeof input['status'] !== 'string') return null;
  const { balance, wifi_rssi, timestamp, message } = input;
  const status: MeterStatus = {
    status: plain(input['status']),
    message: typeof message === 'string' ? plain(message) : null,
    balance: typeof balance === 'number' && Number.isFinite(balance) ? balance : null,
    wifi_rssi: typeof wifi_rssi === 'number' && Number.isFinite(wifi_rssi) ? wifi_rssi : null,
    timestamp:
      typeof timestamp === 'string' ? plain(timestamp) : typeof timestamp === 'number' ? timestamp : null,
  };
  return { meter_id, received_at, status };
}

/** [M-4]; null when it is none. */
export function balanceReportOf({ payload, meter_id, received_at }: Delivery): BalanceReport | null {
  const input = objectOf(payload);
  if (input === null) return null;
  const balance = input['balance'];
  // A float of the firmware's own is good enough to recognise a command by.
  const rounded = typeof balance === 'number' ? Math.round(balance * 10_000) / 10_000 : balance;
  const energy = energyOf(rounded);
  if (typeof energy === 'string') return null;
  const { timestamp } = input;
  const time =
    typeof timestamp === 'string' || typeof timestamp === 'number' ? parseTimestamp(timestamp) : NaN;
  return { meter_id, balance: energy, timestamp: Number.isNaN(time) ? null : time, received_at };
}

/** [M-5]: whatever it carries. */
export function requestOf({ meter_id, topic }: Delivery): Wake {
  return { meter_id, reason: 'request', onlyPrepaid: false, delayMs: 0, name: nameIn(topic) ?? meter_id };
}

/** A client that resumes its session may not subscribe again; one that does is told at once. */
const connectedDelayMs = 1_000;

/** A meter that connects, or listens to its balance commands; null: no concern of ours. */
export function wakeOf(event: SessionEvent): Wake | null {
  const { kind, meter_id, filter } = event;
  if (kind !== 'device' || meter_id === null) return null;
  if (event.event === 'connected')
    return { meter_id, reason: 'connected', onlyPrepaid: true, delayMs: connectedDelayMs, name: '' };
  if (event.event !== 'subscribed' || filter === undefined) return null;
  const name = nameIn(filter) ?? meter_id;
  if (!covers(filter, commandTopic(name))) return null;
  return { meter_id, reason: 'subscribed', onlyPrepaid: false, delayMs: 0, name };
}

/** [M-6] */
export function commandTopic(name: string): string {
  return `smartmeter/${name}/command/balance`;
}

/** The meter's own level of a topic or filter `smartmeter/{m}/…`. */
function nameIn(topic: string): string | undefined {
  const [family, name] = topic.split('/', 2);
  return family === 'smartmeter' && name !== '+' && name !== '#' ? name : undefined;
}

function objectOf(payload: string | Buffer): Record<string, unknown> | null {
  const input = jsonOf(payload);
  return typeof input === 'object' && input !== null && !Array.isArray(input)
    ? (input as Record<string, unknown>)
    : null;
}

/** PostgreSQL's jsonb takes neither NUL nor half a surrogate. */
function plain(text: string): string {
  return text
    .slice(0, textMax)
    .replaceAll('\u0000', '\uFFFD')
    .replaceAll(/\p{Surrogate}/gu, '\uFFFD');
}
