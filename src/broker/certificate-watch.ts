import { stat } from 'node:fs/promises';

import { type CertificateFiles, type Certificates, readCertificates } from './certificates.js';
import type { BrokerLog } from './options.js';

/** Looked at, not watched: a renewed file may be a new link in another folder, and mounts tell nobody of changes. */
const LOOK_MS = 1_000;
const SOON_MS = 14 * 24 * 3600 * 1_000;

export interface WatchedCertificates {
  readonly files: CertificateFiles;
  /** MQTT, HTTP: as log lines call them. */
  readonly what: string;
  /** In seconds of Unix time. */
  readonly expires: { set(seconds: number): void };
}

/**
 * The server's certificates while their files change. New ones are for new connections; ones that cannot be used leave
 * the old ones in force, and are told.
 */
export class CertificateWatch {
  private readonly timer: NodeJS.Timeout;
  private looking = false;
  private taken: string | null = null;
  private seen = '';
  /** Why the files, as they are now, are not in force. */
  problem: string | null = null;

  constructor(
    private readonly watched: WatchedCertificates,
    first: Certificates,
    private readonly log: BrokerLog,
    private readonly onChange: (certificates: Certificates) => void,
  ) {
    this.tellExpiry(first);
    this.timer = setInterval(() => void this.look(), LOOK_MS);
    this.timer.unref();
    void this.look();
  }

  close(): void {
    clearInterval(this.timer);
  }

  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    const found = await this.fingerprint();
    this.looking = false;
    this.taken ??= found;
    // Two looks alike: certificate and key are replaced one after the other.
    const isSettled = found === this.seen;
    this.seen = found;
    if (!isSettled || found === this.taken) return;
    this.taken = found;
    this.take();
  }

  private take(): void {
    try {
      const certificates = readCertificates(this.watched.files);
      if (certificates.validUntil.getTime() < Date.now())
        throw new Error(
          `${this.watched.files.certFile} has expired on ${certificates.validUntil.toISOString()}.`,
        );
      this.onChange(certificates);
      this.problem = null;
      this.log.info(`${this.watched.what} certificates replaced, for new connections`, {
        valid_until: certificates.validUntil.toISOString(),
      });
      this.tellExpiry(certificates);
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
      this.log.warn(`The new ${this.watched.what} certificates are not used, the old ones stay`, {
        reason: this.problem,
      });
    }
  }

  private tellExpiry({ validUntil }: Certificates): void {
    this.watched.expires.set(Math.round(validUntil.getTime() / 1000));
    const left = validUntil.getTime() - Date.now();
    if (left < SOON_MS) {
      this.log.warn(`The ${this.watched.what} certificate ${left < 0 ? 'has expired' : 'expires soon'}`, {
        file: this.watched.files.certFile,
        valid_until: validUntil.toISOString(),
      });
    }
  }

  private async fingerprint(): Promise<string> {
    const { certFile, keyFile, caFile } = this.watched.files;
    const files = caFile === undefined ? [certFile, keyFile] : [certFile, keyFile, caFile];
    const states = await Promise.all(
      files.map((file) =>
        stat(file).then(
          ({ ino, size, mtimeMs, ctimeMs }) => `${ino}:${size}:${mtimeMs}:${ctimeMs}`,
          () => 'absent',
        ),
      ),
    );
    return states.join(' ');
  }
}
