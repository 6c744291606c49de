import type { TLSSocket } from 'node:tls';

/** What a client has proved with a certificate of our CA. */
export interface ClientCertificate {
  /** Common name, DNS names and URIs: one of them is the meter_id or id of the device. */
  readonly names: readonly string[];
}

export type Proof =
  | { readonly outcome: 'none' }
  | { readonly outcome: 'valid'; readonly certificate: ClientCertificate }
  | { readonly outcome: 'refused'; readonly reason: string };

/** A certificate with more names is nobody's: each costs a question to the registry. */
const NAMES_MAX = 20;

/** Judges what the handshake brought. No certificate is fine here: the login decides then. */
export function proofOf(socket: TLSSocket): Proof {
  const peer = socket.getPeerCertificate();
  // An empty object when the client has shown none.
  if (peer === null || peer.raw === undefined) return { outcome: 'none' };
  if (!socket.authorized) {
    // A code in spite of its type, such as CERT_HAS_EXPIRED.
    return { outcome: 'refused', reason: `certificate: ${String(socket.authorizationError)}` };
  }
  const names = namesOf(peer.subject.CN, peer.subjectaltname);
  if (names.length > NAMES_MAX) return { outcome: 'refused', reason: 'certificate: too many names' };
  return { outcome: 'valid', certificate: { names } };
}

/** `DNS:METER001, URI:urn:meterflow:METER001`; of a URI the part behind the last colon or slash counts, too. */
export function namesOf(
  commonName: string | readonly string[] | undefined,
  alternativeNames = '',
): readonly string[] {
  const names = new Set(commonName === undefined ? [] : [commonName].flat());
  // What needs quotes is no device's name, but it may contain a comma and look like two entries.
  for (const [entry] of alternativeNames.matchAll(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g)) {
    const [, kind, name = ''] = /^\s*(DNS|URI):([^"]+)$/.exec(entry) ?? [];
    if (kind !== undefined) names.add(name);
    if (kind === 'URI') names.add(name.slice(Math.max(name.lastIndexOf(':'), name.lastIndexOf('/')) + 1));
  }
  return [...names].filter((name) => name !== '');
}
