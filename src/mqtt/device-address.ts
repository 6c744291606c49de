import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** How a device reaches the broker: what an installer is told. */
export interface DeviceAddress {
  readonly scheme: 'mqtt' | 'mqtts';
  readonly host: string;
  readonly port: number;
  /** PEM of the authority that a device must be given, because the public ones do not know it; null: nothing to give. */
  readonly ca: string | null;
}

/** What is known of the broker's ways in. Files are PEM; '' is none. */
export interface BrokerDoors {
  /** As MQTT_PUBLIC_URL: wins over everything else; '' when nobody said. */
  readonly publicUrl: string;
  readonly isExternal: boolean;
  readonly host: string;
  readonly port: number;
  /** Towards an external broker. */
  readonly tls: boolean;
  /** Of the embedded broker: open when it has a certificate. */
  readonly tlsPort: number;
  readonly certFile: string;
  readonly caFile: string;
}

/**
 * `seenAs` is the host by which a browser found this machine: better than a loopback address, which says nothing to a
 * device elsewhere. Encrypted, where the broker offers it. @throws when a file cannot be read
 */
export function deviceAddress(doors: BrokerDoors, seenAs = ''): DeviceAddress {
  if (doors.publicUrl !== '') {
    const url = new URL(doors.publicUrl);
    const scheme = url.protocol === 'mqtts:' ? 'mqtts' : 'mqtt';
    const port = url.port === '' ? (scheme === 'mqtts' ? 8883 : 1883) : Number(url.port);
    return { scheme, host: bare(url.hostname), port, ca: scheme === 'mqtts' ? authorityOf(doors) : null };
  }
  const isEncrypted = doors.isExternal ? doors.tls : doors.certFile !== '';
  const host = isLoopback(doors.host) && seenAs !== '' ? bare(seenAs) : doors.host;
  return isEncrypted
    ? {
        scheme: 'mqtts',
        host,
        port: doors.isExternal ? doors.port : doors.tlsPort,
        ca: authorityOf(doors),
      }
    : { scheme: 'mqtt', host, port: doors.port, ca: null };
}

/** Reaches this machine only. */
export function isLoopback(host: string): boolean {
  return /^(?:127\.|::1$|localhost$|.*\.localhost$)/i.test(host);
}

/** The embedded broker's CA may be there for the devices' certificates alone. */
function authorityOf({ isExternal, certFile, caFile }: BrokerDoors): string | null {
  if (caFile === '') return null;
  const pem = readFileSync(caFile, 'utf8');
  if (isExternal) return pem;
  if (certFile === '') return null;
  const own = new X509Certificate(readFileSync(certFile));
  return own.checkIssued(new X509Certificate(pem)) ? pem : null;
}

/** Without the brackets of an IPv6 address in a URL. */
function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}
