import { mayPublish, maySubscribe, type Principal } from '../devices/access.js';
import type { Directory } from '../devices/principals.js';
import { DomainError } from '../errors.js';
import { metrics } from '../operation/metrics.js';
import type { Access, LoginQuestion, TopicQuestion } from './questions.js';

export interface Verdict {
  readonly allowed: boolean;
  /** For the log, never for the client ([S-2]); null when allowed. */
  readonly reason: string | null;
  /** Whom the refusal concerns, when that is known. */
  readonly principal: Principal | null;
}

/** The embedded broker's decisions ([M-12]) for a broker that asks us ([H-19]). */
export interface Authority {
  /** @throws DomainError DATABASE_UNAVAILABLE: ask again */
  login(question: LoginQuestion): Promise<Verdict>;
  /** @throws DomainError DATABASE_UNAVAILABLE when the registry is away and this user was not asked about before */
  access(question: TopicQuestion): Promise<Verdict>;
}

const allowed: Verdict = { allowed: true, reason: null, principal: null };
const rememberedMax = 50_000;

export function createAuthority(directory: Directory): Authority {
  /**
   * A device is judged by its own names only, so its last known rights still hold while the registry is away; a broker
   * of MQTT 3.1.1 would drop what is denied, and acknowledge it.
   */
  const remembered = new Map<string, Principal>();

  async function known(username: string): Promise<Principal | 'refused'> {
    const found = await directory.principalOf(username);
    if (found === 'unavailable') {
      const before = remembered.get(username);
      if (before === undefined) throw unavailable();
      return before;
    }
    remembered.delete(username);
    if (found === 'refused') return found;
    remembered.set(username, found);
    const [oldest] = remembered.keys();
    if (remembered.size > rememberedMax && oldest !== undefined) remembered.delete(oldest);
    return found;
  }

  return {
    async login({ username, password, clientId }) {
      const found = await directory.authenticate(username, password);
      if (found === 'unavailable') throw unavailable();
      if (found === 'refused') return refused('login', 'bad credentials');
      const problem = found.kind === 'device' ? await clientIdProblem(directory, clientId, found.user) : null;
      return problem === null ? allowed : refused('login', problem, found);
    },
    async access({ username, topic, access }) {
      const principal = await known(username);
      if (principal === 'refused') return refused('login', 'unknown user');
      for (const one of access) {
        if (!may(principal, one, topic))
          return refused(one === 'publish' ? one : 'subscribe', `${one} denied`, principal);
      }
      return access.length > 0 ? allowed : refused('subscribe', 'nothing asked');
    },
  };
}

function may(principal: Principal, access: Access, topic: string): boolean {
  if (access === 'publish') return !/[+#]/.test(topic) && mayPublish(principal, topic);
  if (access === 'receive') return maySubscribe(principal, topic);
  // Instances that share the work are judged by what they hear; a device shares with nobody.
  const shared = principal.kind === 'account' ? /^\$share\/[^/+#]+\/(.+)$/.exec(topic)?.[1] : undefined;
  return maySubscribe(principal, shared ?? topic);
}

/**
 * Whether a session under this id could be somebody else's. This broker does not tell whether the session is stored,
 * so no id may begin with the name of another device, under which that one may have stored its own.
 */
async function clientIdProblem(directory: Directory, clientId: string, user: string): Promise<string | null> {
  if (clientId === '' || clientId === user || clientId.startsWith(`${user}-`)) return null;
  if (Buffer.byteLength(clientId) > 128) return 'client id too long';
  if (/[#+/]/.test(clientId)) return 'client id with a topic character';
  const parts = clientId.split('-');
  const prefixes = parts.map((_, index) => parts.slice(0, index + 1).join('-'));
  const taken = await Promise.all(prefixes.map((prefix) => directory.nameTaken(prefix, user)));
  return taken.includes(true) ? 'client id is the name of another device' : null;
}

function refused(
  what: 'login' | 'publish' | 'subscribe',
  reason: string,
  principal: Principal | null = null,
): Verdict {
  metrics.mqttRefused.inc({ what, reason });
  return { allowed: false, reason, principal };
}

function unavailable(): DomainError {
  return new DomainError('DATABASE_UNAVAILABLE', 'The registry cannot be asked at the moment.');
}
