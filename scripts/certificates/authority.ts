// @peculiar/x509 and not the openssl command: it runs wherever npm ci has run, and Windows and slim images have no
// openssl. A development dependency: neither the appliance nor the palette package issues certificates.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** PEM. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}

export interface Authority extends Issued {
  /** For a server that is reached under these names and addresses. */
  server(hosts: readonly string[], days?: number): Promise<Issued>;
  /** For a device; the name is its meter_id or id. `uri` names it there instead of in the common name. */
  device(name: string, options?: { readonly days?: number; readonly uri?: string }): Promise<Issued>;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 24 * 3600 * 1_000;
const crypto = webcrypto as Crypto;

export async function createAuthority(name = 'Meterflow development CA', days = 3650): Promise<Authority> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      ...validity(days),
      name: [{ CN: [name] }],
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    },
    crypto,
  );
  return authorityOf(certificate, keys.privateKey, await pemOf(keys.privateKey));
}

/** The one that was made before. */
export async function loadAuthority({ cert, key }: Issued): Promise<Authority> {
  const bytes = Buffer.from(key.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  const privateKey = await crypto.subtle.importKey('pkcs8', bytes, algorithm, true, ['sign']);
  return authorityOf(new X509Certificate(cert), privateKey, key);
}

function authorityOf(ca: X509Certificate, signingKey: CryptoKey, key: string): Authority {
  async function issue(commonName: string, days: number, extensions: Extension[]): Promise<Issued> {
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const certificate = await X509CertificateGenerator.create(
      {
        ...validity(days),
        subject: [{ CN: [commonName] }],
        issuer: ca.subjectName,
        publicKey: keys.publicKey,
        signingKey,
        signingAlgorithm: algorithm,
        extensions: [
          new BasicConstraintsExtension(false, undefined, true),
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
          ...extensions,
        ],
      },
      crypto,
    );
    return { cert: `${certificate.toString('pem')}\n`, key: await pemOf(keys.privateKey) };
  }

  return {
    cert: `${ca.toString('pem')}\n`,
    key,
    server: (hosts, days = 365) =>
      issue(hosts[0] ?? 'localhost', days, [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(
          hosts.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
        ),
      ]),
    device: (name, { days = 365, uri } = {}) =>
      issue(name, days, [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
        ...(uri === undefined ? [] : [new SubjectAlternativeNameExtension([{ type: 'url', value: uri }])]),
      ]),
  };
}

/** From an hour ago, because clocks of devices lag; negative days make one that has expired. */
function validity(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  const notAfter = new Date(now + days * dayMs);
  return { notBefore: new Date(Math.min(now - dayMs / 24, notAfter.getTime() - dayMs)), notAfter };
}

async function pemOf(key: CryptoKey): Promise<string> {
  const bytes = Buffer.from(await crypto.subtle.exportKey('pkcs8', key));
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`;
}
