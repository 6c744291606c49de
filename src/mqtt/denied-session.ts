import type { SessionEvent } from '../broker/delivery.js';
import type { Verdict } from './authority.js';

/**
 * What a refusal means for those who watch sessions: the same event that the embedded broker tells of. Null when the
 * question itself was idle, and nobody tried anything.
 * @param body the broker's question; `peerhost` (EMQX) or `ipaddress` is the client's address, where it is sent
 * @param at Unix ms
 */
export function deniedSession(
  body: unknown,
  { reason, principal }: Verdict,
  at: number,
): SessionEvent | null {
  if (reason === null || reason === 'nothing asked') return null;
  const isDevice = principal?.kind === 'device';
  return {
    event: 'refused',
    kind: principal?.kind ?? 'unknown',
    client_id: field(body, 'clientid', 'client_id'),
    mqtt_user: principal?.user ?? field(body, 'username', 'user'),
    device_id: isDevice ? principal.device_id : null,
    meter_id: isDevice ? principal.meter_id : null,
    address: field(body, 'peerhost', 'ipaddress'),
    reason,
    at,
  };
}

/** Not longer than anything that is shown of it. */
function field(body: unknown, ...names: readonly string[]): string {
  const fields = (typeof body === 'object' && body !== null ? body : {}) as Readonly<Record<string, unknown>>;
  const value = names.map((name) => (Object.hasOwn(fields, name) ? fields[name] : undefined)).find(isText);
  return value?.slice(0, 128) ?? '';
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
