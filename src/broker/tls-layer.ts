import { createServer, type TLSSocket } from 'node:tls';

import type { Arrival, Take } from './arrival.js';
import type { Certificates } from './certificates.js';
import { proofOf } from './client-certificate.js';

/** A peer that does not finish its handshake holds a socket no longer. */
const HANDSHAKE_MS = 10_000;

export interface TlsLayer {
  readonly take: Take;
  /** For new connections; those that are there keep theirs. */
  replace(certificates: Certificates): void;
}

/** Takes raw sockets and hands on encrypted ones, with what the client's certificate proves. */
export function tlsLayer(
  { cert, key, ca }: Certificates,
  refused: (address: string, reason: string) => void,
  next: Take,
): TlsLayer {
  // It never listens: the sockets are handed to it.
  const server = createServer({
    cert,
    key,
    ca,
    minVersion: 'TLSv1.2',
    handshakeTimeout: HANDSHAKE_MS,
    requestCert: ca !== undefined,
    // Judged below: who shows none may log in with a password.
    rejectUnauthorized: false,
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    const address = socket.remoteAddress ?? '';
    const proof = proofOf(socket);
    if (proof.outcome === 'refused') {
      refused(address, proof.reason);
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    next({ socket, address, certificate: proof.outcome === 'valid' ? proof.certificate : null });
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    // A probe of the port, or a client that broke off: nobody was refused.
    if (error.code !== 'ECONNRESET') refused(socket.remoteAddress ?? '', handshakeProblem(error));
    socket.destroy();
  });
  return {
    take: ({ socket }: Arrival) => void server.emit('connection', socket),
    replace: ({ cert: newCert, key: newKey, ca: newCa }) =>
      server.setSecureContext({ cert: newCert, key: newKey, ca: newCa, minVersion: 'TLSv1.2' }),
  };
}

/** One of few, because it becomes a label of a metric. */
function handshakeProblem({ code = '' }: NodeJS.ErrnoException): string {
  if (code === 'ERR_SSL_HTTP_REQUEST' || code === 'ERR_SSL_WRONG_VERSION_NUMBER') return 'no TLS';
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'TLS handshake not finished in time';
  // What the client says of our certificate.
  if (/UNKNOWN_CA|CERTIFICATE/.test(code)) return 'TLS handshake: certificate not accepted';
  return 'TLS handshake';
}
