import { DomainError, type ErrorDetail } from '../errors.js';

/** What a broker wants to know when a client connects. */
export interface LoginQuestion {
  readonly username: string;
  readonly password: string;
  /** '' when the broker does not tell. */
  readonly clientId: string;
}

/** `receive`: one message on its way to a subscriber, which mosquitto-go-auth asks about, too. */
export type Access = 'publish' | 'subscribe' | 'receive';

export interface TopicQuestion {
  readonly username: string;
  readonly topic: string;
  /** All of them must be allowed. */
  readonly access: readonly Access[];
}

/** EMQX's words for what a client does, and Mosquitto's numbers (1 read, 2 write, 4 subscribe). */
const accessByName: Readonly<Record<string, readonly Access[]>> = {
  publish: ['publish'],
  subscribe: ['subscribe'],
  '0': [],
  '1': ['receive'],
  '2': ['publish'],
  '3': ['receive', 'publish'],
  '4': ['subscribe'],
};

/** @throws DomainError SCHEMA_INVALID naming each field */
export function loginQuestion(body: unknown): LoginQuestion {
  const fields = fieldsOf(body);
  return {
    username: text(fields, 'username', 'user'),
    password: text(fields, 'password'),
    clientId: text(fields, 'clientid', 'client_id'),
  };
}

/** @throws DomainError SCHEMA_INVALID naming each field */
export function topicQuestion(body: unknown): TopicQuestion {
  const fields = fieldsOf(body);
  const topic = text(fields, 'topic');
  const said = fields['action'] ?? fields['acc'];
  const access = accessByName[typeof said === 'string' || typeof said === 'number' ? String(said) : ''];
  const details: ErrorDetail[] = [];
  if (topic === '') details.push({ path: '/topic', message: 'must be a topic' });
  if (access === undefined)
    details.push({ path: '/action', message: 'must be publish or subscribe, or acc a number from 1 to 4' });
  if (access === undefined || details.length > 0) throw invalid(details);
  return { username: text(fields, 'username', 'user'), topic, access };
}

/**
 * EMQX reads the verdict in the body of a 200 and takes other statuses for no answer at all; mosquitto-go-auth, in its
 * default mode, reads the status only. Whoever does not show to be EMQX is therefore refused by status.
 */
export function readsBody(body: unknown, accept: unknown): boolean {
  const fields = typeof body === 'object' && body !== null ? body : {};
  if ('acc' in fields) return false;
  return 'action' in fields || (typeof accept === 'string' && /\bapplication\/json\b/i.test(accept));
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(body: unknown): Fields {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Fields;
  throw invalid([{ path: '', message: 'must be an object or a form' }]);
}

function text(fields: Fields, ...names: readonly string[]): string {
  for (const name of names) {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (typeof value === 'string') return value;
  }
  return '';
}

function invalid(details: readonly ErrorDetail[]): DomainError {
  const wrong = details.map(({ path, message }) => `${path.slice(1)} ${message}`.trim()).join('; ');
  return new DomainError('SCHEMA_INVALID', `The question is wrong: ${wrong}.`, { details });
}
