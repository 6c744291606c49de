import { randomUUID } from 'node:crypto';

import type { Principal } from '../devices/access.js';
import type { ClientCertificate } from './client-certificate.js';
import type { Directory } from './directory.js';
import type { BrokerAccess, BrokerOptions } from './options.js';
import type { RefusalCode } from './packet/answers.js';
import type { ConnectPacket } from './packet/connect.js';
import type { Session } from './sessions.js';

export type Admission =
  | { readonly outcome: 'admitted'; readonly principal: Principal; readonly clientId: string }
  | { readonly outcome: 'refused'; readonly code: RefusalCode; readonly reason: string };

/** The directory has a deadline of its own (5 s); a broken one must not keep sockets for ever. */
const DEADLINE_MS = 10_000;

/** Judges a CONNECT: who is it, may it have this client id, this session, this will ([M-12]). */
export async function admit(
  directory: Directory,
  rules: {
    readonly access: BrokerAccess;
    readonly deviceCertificates?: BrokerOptions['deviceCertificates'];
  },
  connect: ConnectPacket,
  certificate: ClientCertificate | null = null,
): Promise<Admission> {
  const { access } = rules;
  const { username } = connect;
  const password = connect.password?.toString('utf8') ?? '';
  const login = { user: username ?? '', password, certificate };
  const found = await within(DEADLINE_MS, principalOf(directory, login));
  if (found === 'unavailable') return refused(3, 'registry unavailable');
  if (found === 'refused')
    return refused(5, certificate === null ? 'bad credentials' : 'certificate of no such device');
  if (rules.deviceCertificates === 'required' && found.kind === 'device' && certificate === null)
    return refused(5, 'certificate required');
  const problem = found.kind === 'device' ? clientIdProblem(connect, found.user) : null;
  if (problem !== null) return refused(2, problem);
  if (connect.will !== null && !access.mayPublish(found, connect.will.topic))
    return refused(5, 'will denied');
  if (found.kind === 'device' && connect.clientId !== '') {
    const taken = await within(DEADLINE_MS, directory.nameTaken(connect.clientId, found.user));
    if (taken === 'unavailable') return refused(3, 'registry unavailable');
    if (taken) return refused(2, 'client id is the name of another device');
  }
  return { outcome: 'admitted', principal: found, clientId: connect.clientId || `auto-${randomUUID()}` };
}

/** Whom a login makes: the device that the certificate names, which then needs no password; else user and password. */
export async function principalOf(
  directory: Directory,
  login: {
    readonly user: string;
    readonly password: string;
    readonly certificate: ClientCertificate | null;
  },
): Promise<Principal | 'refused' | 'unavailable'> {
  const { user, password, certificate } = login;
  if (certificate === null) return directory.authenticate(user, password);
  const found = await directory.identify(certificate.names);
  // Who says another name than the certificate does, is neither.
  return typeof found === 'string' || user === '' || user === found.user ? found : 'refused';
}

/** A client id, with its session and its queue, belongs to the credentials that took it first ([M-12]). */
export function ownerProblem(session: Session | undefined, user: string): string | null {
  return session === undefined || session.user === user ? null : 'client id in use';
}

function clientIdProblem(connect: ConnectPacket, user: string): string | null {
  const { clientId } = connect;
  if (Buffer.byteLength(clientId) > 128) return 'client id too long';
  if (/[#+/]/.test(clientId)) return 'client id with a topic character';
  if (!connect.clean && clientId !== user && !clientId.startsWith(`${user}-`)) {
    return 'stored session under a foreign client id';
  }
  return null;
}

function refused(code: RefusalCode, reason: string): Admission {
  return { outcome: 'refused', code, reason };
}

/** `unavailable` when the registry neither answers in time nor at all. */
async function within<T>(deadlineMs: number, answer: Promise<T>): Promise<T | 'unavailable'> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'unavailable'>((resolve) => {
    timer = setTimeout(() => resolve('unavailable'), deadlineMs);
  });
  try {
    return await Promise.race([answer, late]);
  } catch {
    return 'unavailable';
  } finally {
    clearTimeout(timer);
  }
}
