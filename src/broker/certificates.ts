import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

import { DomainError } from '../errors.js';

/** PEM files. With a CA, clients are asked for a certificate of it. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile?: string;
}

/** What a TLS server needs, read and found to fit together. */
export interface Certificates {
  readonly cert: string;
  readonly key: string;
  readonly ca?: string;
  /** Of the server's own certificate. */
  readonly validUntil: Date;
}

/** @throws CONFIGURATION with a sentence naming the file */
export function readCertificates({ certFile, keyFile, caFile }: CertificateFiles): Certificates {
  const cert = read(certFile);
  const key = read(keyFile);
  const ca = caFile === undefined ? undefined : read(caFile);
  const [own] = parse(certFile, cert);
  if (own === undefined) throw bad(`${certFile} holds no certificate in PEM form.`);
  if (caFile !== undefined && ca !== undefined && parse(caFile, ca).length === 0)
    throw bad(`${caFile} holds no certificate in PEM form.`);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw bad(`${keyFile} is not the key, without a passphrase, of the certificate ${certFile}.`, error);
  }
  return { cert, key, ...(ca === undefined ? {} : { ca }), validUntil: new Date(own.validTo) };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw bad(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}.`, error);
  }
}

function parse(file: string, text: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw bad(`${file} holds a certificate that cannot be read.`, error);
  }
}

function bad(sentence: string, cause?: unknown): DomainError {
  return new DomainError('CONFIGURATION', sentence, { cause });
}
