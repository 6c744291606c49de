import { refuseWrong, type ListQuery } from '../http/page.js';

/**
 * The field `time_zone`, UTC when it is absent. Names only: PostgreSQL reads the sign of an offset such as +03:00 the
 * other way round.
 * @throws DomainError SCHEMA_INVALID
 */
export function zoneOf(query: ListQuery): string {
  const zone = query['time_zone'];
  if (zone === undefined || zone === null || zone === '') return 'UTC';
  if (typeof zone !== 'string' || !isZone(zone)) return refuseZone();
  return zone;
}

/** For one that only the database does not know. */
export function refuseZone(): never {
  refuseWrong([{ path: '/time_zone', message: 'must be an IANA time zone such as Africa/Nairobi' }]);
  throw new Error('unreachable');
}

function isZone(name: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+\-/]{1,49}$/.test(name)) return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
