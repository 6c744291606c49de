import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { isLoopback } from '../operation/environment-rules.js';

/**
 * [S-1]: in the demo profile the editor has no login, so a page of somebody else's must not reach it, neither from
 * its own origin (Origin) nor by pointing its own name at 127.0.0.1 (Host, "DNS rebinding").
 * @param network true: addresses and names without a dot are admitted too, since no public page can own them.
 * @param admitted origins whose pages are welcome here.
 * @returns what is wrong, or undefined when the caller is at home
 */
export function originProblem(
  headers: IncomingHttpHeaders,
  {
    network,
    admitted = [],
  }: { readonly network: boolean; readonly admitted?: readonly string[] | undefined },
): string | undefined {
  const name = hostName(headers.host);
  if (name === undefined || !isHome(name, network)) return 'This address is not served under that Host name.';
  if (headers.origin === undefined || admitted.includes(headers.origin)) return undefined;
  // "null" (a sandboxed frame, a file) is nobody's origin.
  const origin = URL.canParse(headers.origin) ? new URL(headers.origin) : undefined;
  return origin !== undefined && sameHost(origin, headers.host ?? '')
    ? undefined
    : 'Requests from pages of another origin are refused.';
}

/**
 * A browser adds the name and password of HTTP Basic by itself, whichever page asks. So what changes something, and a
 * WebSocket, has to come from a page of our own; programs say neither header.
 * @param publicUrl what people call this place behind a proxy that hides it
 * @returns what is wrong, or undefined
 */
export function forgeryProblem(
  { method = 'GET', headers }: Pick<IncomingMessage, 'method' | 'headers'>,
  publicUrl?: string,
): string | undefined {
  if (/^(?:GET|HEAD|OPTIONS)$/.test(method) && headers.upgrade === undefined) return undefined;
  const site = headers['sec-fetch-site'];
  const own = publicUrl === undefined ? [] : [new URL(publicUrl).origin];
  const fromOwnPage = site === undefined || site === 'same-origin' || site === 'none';
  return fromOwnPage && pageProblem(headers, own) === undefined
    ? undefined
    : 'A login by name and password counts only on pages of this address.';
}

/**
 * Whether the page behind a request may use it: one of the same host, or of an origin that was admitted. Programs say
 * no origin.
 * @returns what is wrong, or undefined
 */
export function pageProblem(headers: IncomingHttpHeaders, admitted: readonly string[]): string | undefined {
  const { origin, host } = headers;
  if (origin === undefined || admitted.includes(origin)) return undefined;
  return URL.canParse(origin) && sameHost(new URL(origin), host ?? '')
    ? undefined
    : 'Requests from pages of another origin are refused.';
}

function isHome(name: string, network: boolean): boolean {
  if (isLoopback(name)) return true;
  return network && (isIP(name) !== 0 || !name.includes('.') || name === hostname().toLowerCase());
}

/** `localhost:1880` → `localhost`, `[::1]:1880` → `::1`; undefined when it is no host at all. */
function hostName(host: string | undefined): string | undefined {
  if (host === undefined || !/^(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/.test(host)) return undefined;
  return host
    .replace(/:\d{1,5}$/, '')
    .replaceAll(/[[\]]/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
}

function sameHost(origin: URL, host: string): boolean {
  const other = `${origin.protocol}//${host}`;
  return /^https?:$/.test(origin.protocol) && URL.canParse(other) && new URL(other).host === origin.host;
}
