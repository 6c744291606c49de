import type { Lease, Place } from './store.js';

/** Leases within this process. They take no more room than there are readings under way. */
export class Leases {
  readonly #tokens = new Map<string, Map<string, string>>();
  #next = 0;

  /** That of the reading under way, else a new one. */
  take({ key, part }: Place): Lease {
    const parts = this.#tokens.get(key) ?? new Map<string, string>();
    this.#tokens.set(key, parts);
    let token = parts.get(part);
    if (token === undefined) parts.set(part, (token = String(this.#next++)));
    return { key, part, token, isOurs: true };
  }

  holds({ key, part, token }: Lease): boolean {
    return this.#tokens.get(key)?.get(part) === token;
  }

  release(lease: Lease): void {
    if (!this.holds(lease)) return;
    const parts = this.#tokens.get(lease.key);
    parts?.delete(lease.part);
    if (parts?.size === 0) this.#tokens.delete(lease.key);
  }

  forget(keys: readonly string[] | null): void {
    if (keys === null) this.#tokens.clear();
    else for (const key of keys) this.#tokens.delete(key);
  }
}
