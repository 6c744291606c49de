import { readFileSync } from 'node:fs';
import {
  connect,
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
  wsconnect,
  type Authenticator,
  type ConnectionOptions,
  type NatsConnection,
} from '@nats-io/transport-node';

/** Where NATS is and who we are there. Plain data: it goes to a thread. '' means: not given. */
export interface NatsAddress {
  /** nats://, tls://, ws:// or wss://; a login may stand in the first one. */
  readonly servers: readonly string[];
  readonly user: string;
  readonly password: string;
  readonly token: string;
  /** Seed of an nkey (`SU…`). */
  readonly nkey: string;
  /** File with a JWT and its seed. */
  readonly credsFile: string;
  /** PEM files: whom we trust beside the public authorities, and our own certificate with its key. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

const timeoutMs = 5_000;

/** One connection to one of the servers; it is not repaired: whoever holds it makes another one. Files are read anew. */
export async function connectNats(address: NatsAddress, name: string): Promise<NatsConnection> {
  const urls = address.servers.map((server) => new URL(server));
  const options: ConnectionOptions = {
    servers: urls.map(({ protocol, host }) => `${protocol}//${host}`),
    name,
    authenticator: authenticatorOf(address, urls[0]),
    reconnect: false,
    timeout: timeoutMs,
    pingInterval: 10_000,
    maxPingOut: 2,
  };
  if (urls.some(({ protocol }) => protocol.startsWith('ws'))) return wsconnect(options);
  return connect({ ...options, ...tlsOf(address, urls) });
}

/** The address without a login, for people. */
export function placeOf(address: NatsAddress): string {
  return address.servers.map((server) => new URL(server).host).join(', ');
}

function authenticatorOf(address: NatsAddress, url: URL | undefined): Authenticator[] {
  const { token, nkey, credsFile } = address;
  const inUrl = (part: 'username' | 'password') => decodeURIComponent(url?.[part] ?? '');
  const user = address.user === '' ? inUrl('username') : address.user;
  const password = address.user === '' ? inUrl('password') : address.password;
  if (credsFile !== '') return [credsAuthenticator(readFileSync(credsFile))];
  if (nkey !== '') return [nkeyAuthenticator(Buffer.from(nkey))];
  if (token !== '') return [tokenAuthenticator(token)];
  // As NATS has it: a user alone in the address is a token.
  if (user !== '' && password === '') return [tokenAuthenticator(user)];
  return user === '' ? [] : [usernamePasswordAuthenticator(user, password)];
}

function tlsOf(
  { caFile, certFile, keyFile }: NatsAddress,
  urls: readonly URL[],
): Pick<ConnectionOptions, 'tls'> {
  const isWanted = [caFile, certFile, keyFile].some((file) => file !== '') || urls.some(isTls);
  if (!isWanted) return {};
  return {
    tls: {
      ...(caFile === '' ? {} : { ca: readFileSync(caFile, 'utf8') }),
      ...(certFile === '' ? {} : { cert: readFileSync(certFile, 'utf8') }),
      ...(keyFile === '' ? {} : { key: readFileSync(keyFile, 'utf8') }),
    },
  };
}

function isTls({ protocol }: URL): boolean {
  return protocol === 'tls:';
}
