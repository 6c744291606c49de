import type { Request } from 'express';
import { markCaller } from '../src/callers/judged.js';
import { seesOnlyOwn, type KnownCaller } from '../src/callers/caller.js';
import type { Callers } from '../src/callers/callers.js';
import type { Proven } from '../src/callers/logins.js';
import { DomainError, isDomainError } from '../src/errors.js';
import { forgeryProblem } from '../src/http/origin.js';
import { createLoginThrottle } from '../src/http/login-throttle.js';
import { logger } from '../src/operation/logging.js';
import { metrics } from '../src/operation/metrics.js';
import { passwordLogin, rememberedLogins } from './password-login.js';
import type { PasswordLogin } from './password-login.js';

/**
 * What somebody wants in to. `open`: a guard that asks nobody who he is stands behind; a provider's callback with a login
 * that is not for us must not be lost. `guarded`: an `api-guard`, or the gateway of live events, stands behind and judges what
 * he may.
 * `dashboard`: operators and admins. `metrics`: keys for it, and admins. `inside`: everything that no guard stands in
 * front of, admins.
 */
export type Entrance = 'open' | 'guarded' | 'dashboard' | 'metrics' | 'inside';

/** Stands in front of what the flows serve. The editor has a login of its own. */
export interface Gate {
  /** @throws DomainError UNAUTHORIZED, FORBIDDEN, RATE_LIMITED, DATABASE_UNAVAILABLE */
  admit(request: Request, entrance: Entrance): Promise<void>;
}

export interface GateParts {
  readonly callers: Pick<Callers, 'identify' | 'recall'>;
  /** The password of an account; not asked at every request. */
  readonly prove: (login: PasswordLogin, address: string | null) => Promise<Proven>;
  /** The administrator's password. */
  readonly isPassword: (password: string) => Promise<boolean>;
  readonly administrator: string;
  readonly publicUrl?: string | undefined;
}

/** Demo: everybody who gets this far ([S-1]). */
export const openGate: Gate = { admit: () => Promise.resolve() };

/** Production: nobody whom nothing lets in ([S-2]). Whoever is judged here, nobody behind judges again. */
export function createGate(parts: GateParts): Gate {
  const { callers, administrator, publicUrl } = parts;
  const throttle = createLoginThrottle();
  const good: KnownCaller = {
    kind: 'administrator',
    name: administrator,
    user_id: null,
    role: 'admin',
    scopes: null,
    expires_at: null,
  };

  const administrators = rememberedLogins(async ({ password }, address) => {
    const takeBack = await throttle.attempt(address);
    if (!(await parts.isPassword(password)))
      throw refusal('UNAUTHORIZED', 'This login does not hold.', { address, reason: 'wrong password' });
    await takeBack();
    return good;
  });
  const accounts = rememberedLogins((login, address) => parts.prove(login, address ?? null));

  async function byPassword(request: Request, login: PasswordLogin): Promise<KnownCaller | null> {
    const problem = forgeryProblem(request, publicUrl);
    if (problem !== undefined)
      throw refusal('FORBIDDEN', problem, { address: request.ip, reason: 'page of another origin' });
    if (login.name === administrator) return administrators.of(login, request.ip);
    try {
      return await callers.recall(await accounts.of(login, request.ip), request);
    } catch (error) {
      if (!isDomainError(error) || error.code !== 'UNAUTHORIZED') throw error;
      // Logged out everywhere, or another password, or it was never right: that is for the password to say, once more.
      if (!accounts.forget(login)) throw error;
      return callers.recall(await accounts.of(login, request.ip), request);
    }
  }

  return {
    async admit(request, entrance) {
      if (entrance === 'open') return;
      const login = passwordLogin(request.headers.authorization);
      // Tokens and keys are for the guard.
      if (entrance === 'guarded' && login === null) return;
      const caller = login === null ? await callers.identify(request) : await byPassword(request, login);
      if (caller === null)
        throw refusal('UNAUTHORIZED', 'Log in first.', { address: request.ip, entrance, reason: 'no login' });
      if (entrance !== 'guarded' && !may(caller, entrance))
        throw refusal('FORBIDDEN', 'You may not use this.', {
          address: request.ip,
          entrance,
          caller: caller.name,
          reason: 'rights',
        });
      markCaller(request, caller);
    },
  };
}

/** Keys are for what they say: here that is the metrics alone. */
export function may(caller: KnownCaller, entrance: Exclude<Entrance, 'open' | 'guarded'>): boolean {
  if (caller.scopes !== null) return entrance === 'metrics' && caller.scopes.includes('metrics');
  return entrance === 'dashboard' ? !seesOnlyOwn(caller) : caller.role === 'admin';
}

/** Every refusal is counted and logged with address and reason, never with what was sent ([S-2]). */
export function refusal(
  code: 'UNAUTHORIZED' | 'FORBIDDEN',
  sentence: string,
  details: { readonly reason: string; readonly address: string | undefined } & Record<string, unknown>,
): DomainError {
  metrics.httpRefused.inc({ reason: details.reason });
  logger('http').warn(details, 'request refused');
  return new DomainError(code, sentence);
}
