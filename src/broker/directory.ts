import type { Principal } from '../devices/access.js';

/** What the broker asks the registry; src/devices/principals.ts answers it from PostgreSQL. */
export interface Directory {
  /** Never rejects; its own deadline ends in `unavailable`. */
  authenticate(mqttUser: string, password: string): Promise<Principal | 'refused' | 'unavailable'>;
  /**
   * The device that one of these names (meter_id or id) of a certificate means; `refused` when it is none, revoked, or
   * when they mean several. Never rejects.
   */
  identify(names: readonly string[]): Promise<Principal | 'refused' | 'unavailable'>;
  /** Whether a client id is the name of a device other than this user's. */
  nameTaken(clientId: string, byPrincipal: string): Promise<boolean>;
  /** Credentials or rights of a user changed; null: of anybody. */
  onChanged(listener: (mqttUser: string | null) => void): void;
}
