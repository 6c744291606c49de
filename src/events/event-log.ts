import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../database/database.js';
import type { ErrorDetail } from '../errors.js';
import { refuseWrong, type ListQuery } from '../http/page.js';
import { asEvent, type DeviceEvent } from './device-event.js';
import { selectEvents, selectLastId, selectWriters } from './log-store.js';

/** An event with its place in the log. */
export interface LoggedEvent extends DeviceEvent {
  readonly id: number;
}

export interface LogPage {
  readonly data: LoggedEvent[];
  /** The `after` of the next page; stays as it is at the end of the log. */
  readonly next: number;
}

export interface EventLog {
  /** Understands `after`, `limit`, `device_id`. @throws SCHEMA_INVALID, DATABASE_UNAVAILABLE */
  read(query?: ListQuery): Promise<LogPage>;
}

export const logLimit = { preset: 100, most: 1000 } as const;

/** How long a page waits for transactions that are writing events. */
const writersMs = 500;
const lookMs = 5;

/** The log of device events for whoever keeps his own place in it: what he has read, nothing comes before later. */
export function createEventLog(database: Database): EventLog {
  let settled = 0n;

  /**
   * Up to which id all events are there that ever will be. Ids are given in the course of transactions, and a lower one
   * may be committed after a higher: so it waits for those who were writing when it looked.
   */
  async function settledUpTo(): Promise<bigint> {
    const last = BigInt(await selectLastId(database));
    const deadline = performance.now() + writersMs;
    for (let writing = await selectWriters(database); writing.length > 0;) {
      // Somebody holds his transaction open: what was settled earlier still is.
      if (performance.now() > deadline) return settled;
      await delay(lookMs);
      const still = new Set(await selectWriters(database));
      writing = writing.filter((writer) => still.has(writer));
    }
    if (last > settled) settled = last;
    return settled;
  }

  return {
    async read(query = {}) {
      const { after, limit, deviceId } = logRequest(query);
      const upTo = String(await settledUpTo());
      const rows = await selectEvents(database, { after: String(after), upTo, deviceId, limit });
      const data = rows.map((row) => Object.assign({ id: Number(row.id) }, asEvent(row)));
      return { data, next: data.at(-1)?.id ?? after };
    },
  };
}

function logRequest(query: ListQuery): { after: number; limit: number; deviceId: string | null } {
  const wrong: ErrorDetail[] = [];
  const { device_id: deviceId } = query;
  const request = {
    after: wholeNumber(query, 'after', { preset: 0, min: 0, max: Number.MAX_SAFE_INTEGER }, wrong),
    limit: wholeNumber(query, 'limit', { preset: logLimit.preset, min: 1, max: logLimit.most }, wrong),
    deviceId: typeof deviceId === 'string' && deviceId !== '' ? deviceId : null,
  };
  refuseWrong(wrong);
  return request;
}

function wholeNumber(
  query: ListQuery,
  name: string,
  { preset, min, max }: { preset: number; min: number; max: number },
  wrong: ErrorDetail[],
): number {
  const value = query[name];
  if (value === undefined || value === null || value === '') return preset;
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value;
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= min && number <= max)
    return number;
  wrong.push({ path: `/${name}`, message: `must be a whole number from ${min} to ${max}` });
  return preset;
}
