import type { IncomingMessage } from 'node:http';
import { DomainError, errorStatus, isDomainError } from '../errors.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import type { KnownCaller } from './caller.js';
import { addressOf, type Callers } from './callers.js';
import type { Captcha } from './captcha.js';
import { judgedCaller } from './judged.js';
import type { GuardLimits } from './limits.js';
import { namedMeters } from './named-meters.js';
import type { Ownership } from './ownership.js';
import { judge, type Rule } from './policy.js';

/** A request of Express, with what came in it. */
export interface Call {
  readonly request: IncomingMessage & {
    readonly ip?: string | undefined;
    readonly params?: Readonly<Record<string, unknown>>;
    readonly route?: { readonly path?: unknown };
  };
  readonly body: unknown;
}

export interface GuardOptions {
  readonly rule: Rule;
  readonly callers: Pick<Callers, 'identify' | 'stranger'>;
  readonly limits: GuardLimits;
  readonly ownership: Ownership;
  /** Null: nobody is asked whether he is a person. */
  readonly captcha: Captcha | null;
}

/** What a call is refused for, as metric and log name it. */
type Hurdle =
  | 'rate_address'
  | 'login'
  | 'no_login'
  | 'rate_caller'
  | 'scope'
  | 'role'
  | 'ownership'
  | 'rate_device'
  | 'captcha';

export interface Guard {
  /**
   * @returns who calls; null where nobody is asked
   * @throws DomainError UNAUTHORIZED, FORBIDDEN, RATE_LIMITED, CAPTCHA_FAILED, PAYLOAD_TOO_LARGE, CAPTCHA_UNAVAILABLE,
   * DATABASE_UNAVAILABLE, LOGIN_PROVIDER_UNAVAILABLE
   */
  admit(call: Call, signal: AbortSignal): Promise<KnownCaller | null>;
}

export function createGuard({ rule, callers, limits, ownership, captcha }: GuardOptions): Guard {
  async function identify(request: Call['request']): Promise<KnownCaller | null> {
    return judgedCaller(request) ?? (await callers.identify(request)) ?? callers.stranger;
  }

  async function ownsAll({ user_id }: KnownCaller, names: readonly string[] | null): Promise<boolean> {
    return user_id !== null && names !== null && ownership.owns(user_id, names);
  }

  return {
    async admit({ request, body }, signal) {
      const address = addressOf(request);
      let hurdle: Hurdle = 'rate_address';
      let caller: KnownCaller | null = null;
      try {
        await limits.address(address);
        let judgement: ReturnType<typeof judge> = 'allowed';
        if (rule.who !== 'anyone') {
          hurdle = 'login';
          caller = await identify(request);
          hurdle = 'no_login';
          if (caller === null) throw new DomainError('UNAUTHORIZED', 'Log in first.');
          hurdle = 'rate_caller';
          await limits.caller(caller.name);
          judgement = judge(rule, caller);
          if (judgement === 'scope' || judgement === 'role') {
            hurdle = judgement;
            throw new DomainError('FORBIDDEN', refusals[judgement]);
          }
        }
        if (judgement === 'if-owner' || limits.countsDevices) {
          hurdle = 'ownership';
          const names = namedMeters({
            params: request.params ?? {},
            body,
            idIsMeter: rule.who === 'owner',
            // What operators send is for the node behind to judge.
            refusesMany: judgement === 'if-owner',
          });
          if (judgement === 'if-owner' && caller !== null && !(await ownsAll(caller, names)))
            throw new DomainError('FORBIDDEN', refusals.ownership);
          hurdle = 'rate_device';
          await limits.devices(names ?? []);
        }
        hurdle = 'captcha';
        await captcha?.verify(captchaToken(request, body), address, signal);
        return caller;
      } catch (error) {
        tell(error, hurdle, { request, address, caller });
        throw error;
      }
    },
  };
}

const refusals = {
  scope: 'This key is not for that.',
  role: 'This is not for your role.',
  ownership: 'This names no meter of yours, or others beside it.',
} as const;

function captchaToken({ headers }: IncomingMessage, body: unknown): unknown {
  const sent = headers['x-captcha-token'];
  if (sent !== undefined) return sent;
  return typeof body === 'object' && body !== null && 'captcha_token' in body
    ? body.captcha_token
    : undefined;
}

interface About {
  readonly request: Call['request'];
  readonly address: string | null;
  readonly caller: KnownCaller | null;
}

/** [S-2]. The pattern of the path, since a path may hold a secret. What a login lacks is told where it is judged. */
function tell(error: unknown, hurdle: Hurdle, { request, address, caller }: About): void {
  if (!isDomainError(error) || errorStatus[error.code] >= 500) return;
  if (hurdle === 'login') return;
  metrics.refusedCalls.inc({ reason: hurdle });
  const { method, route } = request;
  logger('callers').warn(
    { address, reason: hurdle, method, route: route?.path, caller: caller?.name },
    'call refused',
  );
}
