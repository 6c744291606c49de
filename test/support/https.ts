import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import type { TLSSocket } from 'node:tls';

export interface EncryptedAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Serial number of the certificate that was shown. */
  readonly serial: string;
}

export interface EncryptedCall {
  /** PEM: who is trusted. */
  readonly ca: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly maxVersion?: 'TLSv1.1';
}

/** One request on a connection of its own; fetch trusts no CA of a test. */
export function askOverTls(
  url: string,
  { body, headers, ...options }: EncryptedCall,
): Promise<EncryptedAnswer> {
  return new Promise((resolve, reject) => {
    const sent = {
      ...options,
      agent: false as const,
      // Whatever Host the headers name.
      servername: new URL(url).hostname === 'localhost' ? 'localhost' : '',
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    };
    const asked = request(url, sent, (response) => {
      const { serialNumber: serial } = (response.socket as TLSSocket).getPeerCertificate();
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, serial });
      });
    });
    asked.on('error', reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
