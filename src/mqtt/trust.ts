import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { PeerCertificate } from 'node:tls';
import type { MqttClient } from 'mqtt';

/** Whose certificate a client takes for the broker's, and what it shows itself. PEM files; '' is none. */
export interface Trust {
  /** Instead of the public authorities. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Our own embedded broker, seen from this process: exactly the certificate of this file, whatever its names. */
  readonly pinnedFile: string;
}

export interface TlsOptions {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly allowPartialTrustChain?: boolean;
  readonly checkServerIdentity?: (host: string, shown: PeerCertificate) => Error | undefined;
}

/** What mqtt.js needs for `mqtts`. @throws when a file cannot be read */
export function tlsOptions({ caFile, certFile, keyFile, pinnedFile }: Trust): TlsOptions {
  if (pinnedFile !== '') {
    const pem = readFileSync(pinnedFile);
    const own = new X509Certificate(pem);
    return {
      ca: pem,
      // The file need not hold the authority that issued it.
      allowPartialTrustChain: true,
      checkServerIdentity: (_host, shown) =>
        shown.raw.equals(own.raw) ? undefined : new Error('not the certificate of this broker'),
    };
  }
  return {
    ...(caFile === '' ? {} : { ca: readFileSync(caFile) }),
    ...(certFile === '' || keyFile === ''
      ? {}
      : { cert: readFileSync(certFile), key: readFileSync(keyFile) }),
  };
}

/** Reads the files again before each further attempt: certificates are renewed while clients run. */
export function keepTrust(client: MqttClient, trust: Trust): void {
  client.on('reconnect', () => {
    try {
      Object.assign(client.options, tlsOptions(trust));
    } catch {
      // In the middle of a renewal; the ones read before are tried.
    }
  });
}
