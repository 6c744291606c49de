import { DomainError } from '../errors.js';

/** What of a request can name meters. */
export interface Naming {
  /** Of the path. */
  readonly params: Readonly<Record<string, unknown>>;
  /** As parsed; of a GET the query. */
  readonly body: unknown;
  /** Whether `:id` of the path is a device's. */
  readonly idIsMeter: boolean;
  /** More readings than a batch has: an error, or else null. */
  readonly refusesMany: boolean;
}

/** [H-7]: more are refused anyway, and need no look-up. */
const readingsMax = 1000;
const fields = ['meter_id', 'meter_number', 'drn'] as const;

/**
 * Every meter that a request names, each once: the one of its path, else those of its body, all of `readings[]` among
 * them. A body may name one meter twice, by different names: both count, since nobody knows here which one will.
 * Null: something in it names no meter, so nothing can be said of the whole.
 * @throws DomainError PAYLOAD_TOO_LARGE
 */
export function namedMeters({ params, body, idIsMeter, refusesMany }: Naming): readonly string[] | null {
  const inPath = params['meter_id'] ?? (idIsMeter ? params['id'] : undefined);
  if (inPath !== undefined) return listOf([inPath]);
  const parts = partsOf(body, refusesMany);
  if (parts === null) return null;
  const names: unknown[] = [];
  for (const part of parts) {
    const before = names.length;
    if (isFields(part)) for (const field of fields) if (Object.hasOwn(part, field)) names.push(part[field]);
    if (names.length === before) return null;
  }
  return listOf(names);
}

/** The things that must each name a meter. */
function partsOf(body: unknown, refusesMany: boolean): readonly unknown[] | null {
  const readings = isFields(body) && Object.hasOwn(body, 'readings') ? body['readings'] : body;
  if (!Array.isArray(readings)) return isFields(readings) && readings === body ? [body] : null;
  if (readings.length > readingsMax && !refusesMany) return null;
  if (readings.length > readingsMax)
    throw new DomainError(
      'PAYLOAD_TOO_LARGE',
      `The submission holds ${readings.length} readings; at most ${readingsMax} are allowed.`,
    );
  if (readings.length === 0) return null;
  const alsoAbove = isFields(body) && fields.some((field) => Object.hasOwn(body, field));
  return alsoAbove ? [body, ...(readings as unknown[])] : (readings as unknown[]);
}

function listOf(names: readonly unknown[]): readonly string[] | null {
  const found = new Set<string>();
  for (const name of names) {
    if (typeof name !== 'string') return null;
    // Payers' numbers may come with spaces around them.
    const trimmed = name.trim();
    if (!/^[A-Za-z0-9_-]{1,50}$/.test(trimmed)) return null;
    found.add(trimmed);
  }
  return [...found];
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !Buffer.isBuffer(value);
}
