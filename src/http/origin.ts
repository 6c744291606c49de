import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { isLoopback } from '../operation/environment-rules.js';

/**
 * [S-1]: in the demo profile the editor has no login, so a page of somebody else's must not reach it, neither from
 * its own origin (Origin) nor by pointing its own name at 127.0.0.1 (Host, "DNS rebinding").
 * @param network true: addresses and names without a dot are admitted too, since no public page can own them.
 * @returns what is wrong, or undefined when the caller is at home
 */
export function originProblem(
  headers: IncomingHttpHeaders,
  { network }: { network: boolean },
): string | undefined {
  const name = hostName(headers.host);
  if (name === undefined || !isHome(name, network)) return 'This address is not served under that Host name.';
  if (headers.origin === undefined) return undefined;
  // "null" (a sandboxed frame, a file) is nobody's origin.
  const origin = URL.canParse(headers.origin) ? new URL(headers.origin) : undefined;
  return origin !== undefined && sameHost(origin, headers.host ?? '')
    ? undefined
    : 'Requests from pages of another origin are refused.';
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
