import { metrics } from '../operation/metrics.js';
import { Leases } from './leases.js';
import type { Forgotten, Lease, Looked, Place, Store } from './store.js';

export interface MemoryLimits {
  /** Meters and users. */
  readonly entriesMax: number;
  /** Keys and answers at two bytes a character, and `overheadBytes` each. */
  readonly bytesMax: number;
}

interface Part {
  readonly text: string;
  /** By `now`. */
  readonly endsAt: number;
}

interface Entry {
  readonly parts: Map<string, Part>;
  bytes: number;
}

/** What an entry or a part takes beside its texts, about. */
export const overheadBytes = 200;

/** Answers in this process; beyond its limits the one that nobody asked for longest goes. */
export class MemoryStore implements Store {
  readonly problem = null;
  readonly #leases = new Leases();
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  /** @param now milliseconds of a clock that only goes forward */
  constructor(
    readonly limits: MemoryLimits,
    readonly now: () => number = () => performance.now(),
  ) {}

  get bytes(): number {
    return this.#bytes;
  }

  get entries(): number {
    return this.#entries.size;
  }

  look(place: Place): Looked {
    const entry = this.#entries.get(place.key);
    const part = entry?.parts.get(place.part);
    if (entry !== undefined && part !== undefined && part.endsAt > this.now()) {
      this.#entries.delete(place.key);
      this.#entries.set(place.key, entry);
      return { text: part.text };
    }
    return { lease: this.#leases.take(place) };
  }

  keep(lease: Lease, text: string, ttlMs: number): boolean {
    if (!this.#leases.holds(lease)) return false;
    this.#leases.release(lease);
    const { key, part } = lease;
    const entry = this.#entries.get(key) ?? { parts: new Map<string, Part>(), bytes: 0 };
    this.#drop(key);
    entry.parts.set(part, { text, endsAt: this.now() + ttlMs });
    entry.bytes = bytesOf(key, entry.parts);
    // One that is larger than everything else together is not worth it.
    if (entry.bytes > this.limits.bytesMax / 2) return false;
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
    this.#shrink();
    return true;
  }

  release(lease: Lease): void {
    this.#leases.release(lease);
  }

  forget(keys: readonly string[] | null): Forgotten {
    this.#leases.forget(keys);
    const before = this.#entries.size;
    if (keys !== null) for (const key of keys) this.#drop(key);
    else {
      this.#entries.clear();
      this.#bytes = 0;
    }
    this.#show();
    return { entries: before - this.#entries.size, isShared: false };
  }

  close(): Promise<void> {
    this.forget(null);
    return Promise.resolve();
  }

  #shrink(): void {
    const { entriesMax, bytesMax } = this.limits;
    for (const key of this.#entries.keys()) {
      if (this.#entries.size <= entriesMax && this.#bytes <= bytesMax) break;
      this.#drop(key);
      metrics.cacheEvictions.inc();
    }
    this.#show();
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }

  #show(): void {
    metrics.cacheEntries.set(this.#entries.size);
    metrics.cacheBytes.set(this.#bytes);
  }
}

function bytesOf(key: string, parts: ReadonlyMap<string, Part>): number {
  let bytes = overheadBytes + 2 * key.length;
  for (const [name, { text }] of parts) bytes += overheadBytes + 2 * (name.length + text.length);
  return bytes;
}
