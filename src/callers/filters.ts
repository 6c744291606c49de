import { refuseWrong, type ListQuery } from '../http/page.js';
import { isUuid } from '../uuid.js';

/** Null when it is absent. A NUL cannot be stored, so it finds nothing. */
export function text(query: ListQuery, name: string): string | null {
  const value = query[name];
  return typeof value === 'string' && value !== '' ? value.replaceAll('\0', '\uFFFD') : null;
}

/** @throws DomainError SCHEMA_INVALID */
export function flag(query: ListQuery, name: string): boolean | null {
  const value = query[name];
  const said = typeof value === 'boolean' ? String(value) : text(query, name);
  if (said === null || said === 'true' || said === 'false') return said === null ? null : said === 'true';
  return wrong(name, 'must be true or false');
}

/** @throws DomainError SCHEMA_INVALID */
export function oneOf<T extends string>(query: ListQuery, name: string, allowed: readonly T[]): T | null {
  const said = text(query, name);
  if (said === null) return null;
  return allowed.find((one) => one === said) ?? wrong(name, `must be one of ${allowed.join(', ')}`);
}

/** @throws DomainError SCHEMA_INVALID */
export function uuid(query: ListQuery, name: string): string | null {
  const said = text(query, name);
  if (said === null || isUuid(said)) return said;
  return wrong(name, 'must be a UUID');
}

function wrong(name: string, message: string): never {
  refuseWrong([{ path: `/${name}`, message }]);
  throw new Error('refused');
}
