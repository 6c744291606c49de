import type { Database } from '../database/database.js';
import { DomainError } from '../errors.js';
import { pageRequest, type ListQuery, type Page } from '../http/page.js';
import { isUuid } from '../uuid.js';
import { selectInjection, selectInjections } from './history-store.js';
import { injectionStatuses, type InjectionRecord, type InjectionStatus } from './record.js';

/** [H-11] */
export interface InjectionHistory {
  /**
   * Newest first; filters status (comma list), meter_id (or the number as the caller wrote it), seen_before (true:
   * whose token came before), start, end.
   * @throws DomainError SCHEMA_INVALID naming the field of the query that is wrong
   */
  list(query?: ListQuery): Promise<Page<InjectionRecord>>;
  /** @throws DomainError INJECTION_UNKNOWN */
  one(id: string): Promise<InjectionRecord>;
}

export function createInjectionHistory(database: Database): InjectionHistory {
  return {
    async list(query = {}) {
      const request = pageRequest(query, ['requested_at']);
      const found = await selectInjections(database, request, {
        statuses: statusesOf(query['status']),
        meter: text(query['meter_id']),
        seenBefore: query['seen_before'] === 'true',
      });
      return { ...found, page: request.page, limit: request.limit };
    },
    async one(id) {
      const found = isUuid(id) ? await selectInjection(database, id) : undefined;
      if (found !== undefined) return found;
      throw new DomainError('INJECTION_UNKNOWN', `There is no injection ${JSON.stringify(id.slice(0, 64))}.`);
    },
  };
}

function statusesOf(given: unknown): InjectionStatus[] | null {
  // `?status=a&status=b` means the same as `?status=a,b`.
  const value = text(Array.isArray(given) ? given.join(',') : given);
  if (value === null) return null;
  const named = value.split(',').map((name) => injectionStatuses.find((status) => status === name.trim()));
  const known = named.filter((status) => status !== undefined);
  if (known.length === named.length) return known;
  const message = `must be one or more of ${injectionStatuses.join(', ')}`;
  throw new DomainError('SCHEMA_INVALID', `The query is wrong: status ${message}.`, {
    details: [{ path: '/status', message }],
  });
}

/** A NUL cannot be stored, so it finds nothing: `\uFFFD` stands for it. */
function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value.replaceAll('\u0000', '\uFFFD') : null;
}
