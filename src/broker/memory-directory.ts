import type { Principal } from '../devices/access.js';
import type { Directory } from './directory.js';

/** A directory without a database, for tests and the public conformance suites. */
export interface MemoryDirectory extends Directory {
  add(principal: Principal, password: string): void;
  remove(user: string): void;
  /** Answers `unavailable` from now on, like a registry that is away. */
  available: boolean;
}

export function createMemoryDirectory(options: { readonly admitAll?: boolean } = {}): MemoryDirectory {
  const entries = new Map<string, { principal: Principal; password: string }>();
  const listeners: ((user: string | null) => void)[] = [];
  const tell = (user: string) => listeners.forEach((listener) => listener(user));
  return {
    available: true,
    add(principal, password) {
      entries.set(principal.user, { principal, password });
      tell(principal.user);
    },
    remove(user) {
      entries.delete(user);
      tell(user);
    },
    async authenticate(user, password) {
      if (!this.available) return 'unavailable';
      if (options.admitAll === true)
        return { kind: 'account', user: 'anybody', may_read: ['#'], may_write: ['#'] };
      const entry = entries.get(user);
      return entry !== undefined && entry.password === password ? entry.principal : 'refused';
    },
    async identify(names) {
      if (!this.available) return 'unavailable';
      const found = [...entries.values()]
        .map(({ principal }) => principal)
        .filter(
          (one) => one.kind === 'device' && (names.includes(one.meter_id) || names.includes(one.device_id)),
        );
      return found.length === 1 && found[0] !== undefined ? found[0] : 'refused';
    },
    async nameTaken(clientId, user) {
      if (clientId === user) return false;
      for (const { principal } of entries.values()) {
        if (principal.kind !== 'device' || principal.user === user) continue;
        if ([principal.user, principal.device_id, principal.meter_id, principal.drn].includes(clientId))
          return true;
      }
      return false;
    },
    onChanged(listener) {
      listeners.push(listener);
    },
  };
}
