/** [S-4], from the least to the most. */
export const roles = ['prosumer', 'operator', 'admin'] as const;
export type Role = (typeof roles)[number];

/** What a machine's key may be for. A key has some of them; people have what their role allows. */
export const scopes = [
  'devices:read',
  'devices:write',
  'readings:read',
  'readings:write',
  'payments:read',
  'payments:write',
  'injections:read',
  'injections:write',
  'quarantine',
  'minting',
  'live',
  'metrics',
  'mqtt',
] as const;
export type Scope = (typeof scopes)[number];

/** Who calls, as `msg.caller` behind an `api-guard`: judged, never just said. */
export interface KnownCaller {
  /** `administrator`: by the editor's login. `demo`: nobody said who he is, and the demo profile lets him in ([S-1]). */
  readonly kind: 'person' | 'key' | 'administrator' | 'demo';
  /** For the audit log: the account's e-mail, `key:NAME`, the editor's user, or `demo`. */
  readonly name: string;
  /** The account; null for the administrator, the demo, and a key that acts for nobody. */
  readonly user_id: string | null;
  /** A key that acts for nobody is an operator, within its scopes. */
  readonly role: Role;
  /** Null: whatever the role allows. */
  readonly scopes: readonly Scope[] | null;
  /** Unix ms, when his token or key ends; null: never. */
  readonly expires_at: number | null;
}

/** [S-4]: a prosumer sees and touches his own meters only. */
export function seesOnlyOwn(caller: Pick<KnownCaller, 'role'>): boolean {
  return caller.role === 'prosumer';
}
