import type { AddressInfo, Server } from 'node:net';

import { DomainError } from '../errors.js';

/**
 * Connections that wait to be accepted; the kernel lowers it to net.core.somaxconn (4,096). At 1,024, most of 9,000
 * meters that came back at once had to repeat their SYN and lost seconds.
 */
const BACKLOG = 65_535;

/** Resolves with the port. */
export function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be used: ${error.message}`;
      reject(new DomainError('BROKER_UNAVAILABLE', `MQTT port ${port} on ${host} ${why}`, { cause: error }));
    });
    server.listen(port, host, BACKLOG, () => {
      server.removeAllListeners('error');
      server.on('error', () => {});
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Stops accepting now; resolves when the last socket is gone. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
