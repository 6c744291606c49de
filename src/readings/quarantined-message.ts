import { isUtf8 } from 'node:buffer';
import type { ErrorDetail } from '../errors.js';
import { moment, refuseWrong, type ListQuery } from '../http/page.js';

/** A quarantined message as people see it. */
export interface QuarantinedMessage {
  readonly id: number;
  readonly device_id: string | null;
  readonly meter_id: string | null;
  /** '' when it did not come over MQTT. */
  readonly topic: string;
  readonly qos: number;
  /** Position inside the message that carried it; 0 for a whole message. */
  readonly part: number;
  readonly code: string;
  readonly reason: string;
  /** The text, or the bytes in base64 when `payload_encoding` says so. */
  readonly payload: string;
  readonly payload_encoding: 'utf8' | 'base64';
  /** Of the whole payload. */
  readonly payload_bytes: number;
  /** A list shows the beginning of a long one only. */
  readonly payload_cut: boolean;
  readonly received_at: string;
  readonly quarantined_at: string;
  readonly replayed_at: string | null;
  /** Of the last replay. `stored` and `duplicate` are final, `refused` may be tried again. */
  readonly replay_outcome: ReplayOutcome | null;
  /** Why the last replay was refused. */
  readonly replay_code: string | null;
  readonly replay_reason: string | null;
}

export type ReplayOutcome = 'stored' | 'duplicate' | 'refused';

/** How many there are of a code. */
export interface QuarantineCount {
  readonly code: string;
  /** Never replayed, or refused again. */
  readonly open: number;
  /** Replayed with the outcome stored or duplicate. */
  readonly replayed: number;
}

/** Absent: any. */
export interface QuarantineFilter {
  readonly meter_id: string | null;
  readonly code: string | null;
  /** A topic, or an MQTT filter with `+` and `#`. */
  readonly topic: string | null;
  /** Unix ms, of quarantined_at: from, included, and until, not included. */
  readonly since: number | null;
  readonly until: number | null;
  /** Whether a replay has settled it. */
  readonly replayed: boolean | null;
}

/** @throws DomainError SCHEMA_INVALID naming each field that is wrong. */
export function asQuarantineFilter(query: ListQuery): QuarantineFilter {
  const wrong: ErrorDetail[] = [];
  const filter = {
    meter_id: named(query, 'meter_id'),
    code: named(query, 'code'),
    topic: named(query, 'topic'),
    since: moment(query, 'since', wrong),
    until: moment(query, 'until', wrong),
    replayed: yesOrNo(query, 'replayed', wrong),
  };
  if (filter.topic !== null && !isFilter(filter.topic))
    wrong.push({ path: '/topic', message: 'must be a topic or an MQTT topic filter' });
  refuseWrong(wrong);
  return filter;
}

/** The beginning of a payload as text where it is one; `bytes` is the length of the whole. */
export function shown(
  payload: Buffer,
  bytes: number,
): Pick<QuarantinedMessage, 'payload' | 'payload_encoding' | 'payload_bytes' | 'payload_cut'> {
  const payload_cut = payload.length < bytes;
  // A cut may go through a character, which has at most four bytes.
  const whole = payload_cut
    ? [0, 1, 2, 3].map((less) => payload.subarray(0, payload.length - less))
    : [payload];
  const utf8 = whole.find((part) => isUtf8(part));
  const payload_encoding = utf8 === undefined ? 'base64' : 'utf8';
  return {
    payload: (utf8 ?? payload).toString(payload_encoding),
    payload_encoding,
    payload_bytes: bytes,
    payload_cut,
  };
}

/** An MQTT filter as a regular expression of PostgreSQL's. */
export function topicPattern(filter: string): string {
  const levels = filter.split('/').map((level) => {
    if (level === '#') return '.*';
    return level === '+' ? '[^/]*' : level.replaceAll(/[^A-Za-z0-9]/gu, (character) => `\\${character}`);
  });
  // `a/#` includes `a` itself.
  return `^${levels.join('/').replace(/\/\.\*$/, '(/.*)?')}$`;
}

/** A wildcard is a level of its own, and `#` the last one. */
function isFilter(text: string): boolean {
  const levels = text.split('/');
  return levels.every(
    (level, at) => !/[+#]/.test(level) || level === '+' || (level === '#' && at === levels.length - 1),
  );
}

function named(query: ListQuery, name: string): string | null {
  const value = query[name];
  if (typeof value === 'number') return String(value);
  // A NUL cannot be stored, so it finds nothing: U+FFFD stands for it.
  return typeof value === 'string' && value !== '' ? value.replaceAll('\0', '\uFFFD') : null;
}

function yesOrNo(query: ListQuery, name: string, wrong: ErrorDetail[]): boolean | null {
  const value = query[name];
  if (value === undefined || value === null || value === '') return null;
  if (value === true || value === 'yes' || value === 'true') return true;
  if (value === false || value === 'no' || value === 'false') return false;
  wrong.push({ path: `/${name}`, message: 'must be yes or no' });
  return null;
}
