import type { DeviceFilter } from './device.js';
import { invalid } from './device-schema.js';

/** Reads the filters of a list from a query string. Unknown names are ignored. @throws DomainError SCHEMA_INVALID */
export function asDeviceFilter(query: Readonly<Record<string, unknown>>): DeviceFilter {
  return {
    id: asText(query['id']),
    meter_id: asText(query['meter_id']),
    drn: asText(query['drn']),
    type: asText(query['type']),
    name: asText(query['name']),
    location: asText(query['location']),
    status: asText(query['status']),
    user_id: asText(query['user_id']),
    mock: asFlag(query, 'mock'),
    online: asFlag(query, 'online'),
    seen: asFlag(query, 'seen'),
    revoked: asFlag(query, 'revoked'),
    search: asText(query['search']),
  };
}

function asText(value: unknown): string | null {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  // A NUL cannot be stored, so it finds nothing: `\uFFFD` stands for it.
  return typeof value === 'string' && value !== '' ? value.replaceAll('\u0000', '\uFFFD') : null;
}

function asFlag(query: Readonly<Record<string, unknown>>, name: string): boolean | null {
  const value = asText(query[name]);
  if (value === null) return null;
  if (value === 'true' || value === 'false') return value === 'true';
  throw invalid([{ path: `/${name}`, message: 'must be true or false' }]);
}
