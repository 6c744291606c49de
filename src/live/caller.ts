import type { IncomingMessage } from 'node:http';
import { DomainError } from '../errors.js';

/** Who listens ([S-4]). */
export interface LiveCaller {
  readonly role: 'admin' | 'operator' | 'prosumer';
  readonly user_id: string;
  /** Unix ms, when his token ends; null: never. */
  readonly expires_at: number | null;
}

/** Answers who it is; @throws DomainError UNAUTHORIZED, FORBIDDEN */
export type CallerOf = (request: IncomingMessage) => LiveCaller;

/** Whom the doors have judged before they handed the request on. */
const judged = new WeakMap<IncomingMessage, LiveCaller>();

export function markCaller(request: IncomingMessage, caller: LiveCaller): void {
  judged.set(request, caller);
}

/** [S-1]: without a token a caller of the demo is its admin; elsewhere only who was judged comes in. */
export function callerOfProfile(profile: string): CallerOf {
  const stranger: LiveCaller | null =
    profile === 'demo' || profile === 'open' ? { role: 'admin', user_id: 'demo', expires_at: null } : null;
  return (request) => {
    const caller = judged.get(request) ?? stranger;
    if (caller === null) throw new DomainError('UNAUTHORIZED', 'Log in first.');
    return caller;
  };
}
