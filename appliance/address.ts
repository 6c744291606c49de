import { isIPv6 } from 'node:net';
import type { Environment } from '../src/operation/environment.js';

type Place = Pick<Environment, 'HOST' | 'PORT' | 'HTTP_TLS_CERT'>;

/** `https://127.0.0.1:1880`; as this machine, or somebody near it, calls this place. */
export function urlOf({ HOST, PORT, HTTP_TLS_CERT }: Place, port = PORT): string {
  return `${HTTP_TLS_CERT === undefined ? 'http' : 'https'}://${placeOf(HOST, port)}`;
}

/** An address that can be typed into a browser: a wildcard is none. */
export function placeOf(host: string, port: number): string {
  const reachable = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return isIPv6(reachable) ? `[${reachable}]:${port}` : `${reachable}:${port}`;
}
