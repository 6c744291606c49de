import type { IncomingMessage } from 'node:http';
import type { KnownCaller } from '../callers/caller.js';
import type { Callers } from '../callers/callers.js';
import { judgedCaller } from '../callers/judged.js';
import { DomainError } from '../errors.js';

/** Who listens ([S-4]). */
export type LiveCaller = Pick<KnownCaller, 'role' | 'user_id' | 'expires_at'>;

/** Answers who it is; rejects with DomainError UNAUTHORIZED, FORBIDDEN, DATABASE_UNAVAILABLE */
export type CallerOf = (request: IncomingMessage) => Promise<LiveCaller>;

/** A browser's WebSocket has no headers of its own, so a token or key may come as `?access_token=`, too. */
export function listenerOf(callers: Pick<Callers, 'identify' | 'stranger'>): CallerOf {
  return async (request) => {
    const caller =
      judgedCaller(request) ?? (await callers.identify(request, { query: true })) ?? callers.stranger;
    if (caller === null) throw new DomainError('UNAUTHORIZED', 'Log in first.');
    if (caller.scopes !== null && !caller.scopes.includes('live'))
      throw new DomainError('FORBIDDEN', 'This key is not for live events.');
    return caller;
  };
}
