import type { KnownCaller, Scope } from './caller.js';

/** Whom a guard lets in, from all to few. */
export const whos = ['anyone', 'user', 'owner', 'operator', 'admin', 'machine'] as const;
export type Who = (typeof whos)[number];

export interface Rule {
  readonly who: Who;
  /** What a key needs beside; null: no key comes in. */
  readonly scope: Scope | null;
}

/** `if-owner`: whoever owns every meter that the request names. The others say what he lacks. */
export type Judgement = 'allowed' | 'if-owner' | 'scope' | 'role';

/** [S-4]. A key needs the scope, and its role (that of its account, else operator) is judged as a person's. */
export function judge({ who, scope }: Rule, caller: KnownCaller): Judgement {
  if (who === 'anyone') return 'allowed';
  if (caller.scopes !== null && (scope === null || !caller.scopes.includes(scope))) return 'scope';
  return byRole[who](caller);
}

const byRole: Readonly<Record<Exclude<Who, 'anyone'>, (caller: KnownCaller) => Judgement>> = {
  user: () => 'allowed',
  owner: ({ role }) => (role === 'prosumer' ? 'if-owner' : 'allowed'),
  operator: ({ role }) => (role === 'prosumer' ? 'role' : 'allowed'),
  admin: ({ role }) => (role === 'admin' ? 'allowed' : 'role'),
  machine: ({ kind, role }) => (kind === 'key' || role === 'admin' ? 'allowed' : 'role'),
};
