import type { Duplex } from 'node:stream';

import type { ClientCertificate } from './client-certificate.js';

/** A socket on its way in: it passes a layer of TLS, of WebSocket, both or none, and becomes a connection. */
export interface Arrival {
  readonly socket: Duplex;
  readonly address: string;
  /** Set by the TLS layer when the client has shown one of our CA. */
  readonly certificate: ClientCertificate | null;
}

export type Take = (arrival: Arrival) => void;
