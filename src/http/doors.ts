import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { CertificateWatch } from '../broker/certificate-watch.js';
import { readCertificates } from '../broker/certificates.js';
import type { CertificateFiles, Certificates } from '../broker/certificates.js';
import { DomainError } from '../errors.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import { errorAnswer, writeError } from './errors.js';

/** A port on which people and machines come in; all doors lead to the same house. */
export interface DoorPlan {
  readonly port: number;
  /** The variable that moves it, named when the port is taken. */
  readonly variable: string;
}

export interface DoorOptions {
  readonly host: string;
  /** With them HTTPS on every port, and no HTTP. */
  readonly tls?: CertificateFiles | undefined;
  /** What an answer begins with, before anybody knows which. */
  readonly headers?: (request: IncomingMessage) => Readonly<Record<string, string>>;
  /** Why this request is not let in; undefined lets it in. */
  readonly refuse: (request: IncomingMessage) => string | undefined;
  readonly request: (request: IncomingMessage, response: ServerResponse, door: DoorPlan) => void;
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer, door: DoorPlan) => void;
}

export interface Doors {
  /** In the order of the plans; what port 0 has become. */
  readonly ports: readonly number[];
  /** Takes no more callers, ends what is open after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/**
 * Opens all ports or none; rejects with one sentence naming the busy port and its variable ([C-4]), or the file that is
 * no certificate. Certificates are renewed as their files are.
 */
export async function openDoors(plans: readonly DoorPlan[], options: DoorOptions): Promise<Doors> {
  const upgraded = new Set<Duplex>();
  const servers: (Server | TlsServer)[] = [];
  const certificates = options.tls === undefined ? undefined : readCertificates(options.tls);
  try {
    for (const plan of plans) servers.push(await open(plan, options, certificates, upgraded));
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
  const watch = certificates === undefined ? undefined : renew(options.tls, certificates, servers);
  return {
    ports: servers.map((server) => (server.address() as AddressInfo).port),
    async close(graceMs) {
      watch?.close();
      const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
      for (const socket of upgraded) socket.destroy();
      for (const server of servers) server.closeIdleConnections();
      const timer = setTimeout(() => servers.forEach((server) => server.closeAllConnections()), graceMs);
      await Promise.all(closed);
      clearTimeout(timer);
    },
  };
}

// A body has 30 s to arrive, headers 10 s: a slow sender holds nothing for long.
const patience = { requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 10_000 };

async function open(
  plan: DoorPlan,
  options: DoorOptions,
  certificates: Certificates | undefined,
  upgraded: Set<Duplex>,
): Promise<Server | TlsServer> {
  const server =
    certificates === undefined
      ? createServer(patience)
      : createTlsServer({
          ...patience,
          ...certificates,
          minVersion: 'TLSv1.2',
          handshakeTimeout: handshakeMs,
        });
  server.on('request', (request, response) => {
    for (const [name, value] of Object.entries(options.headers?.(request) ?? {}))
      response.setHeader(name, value);
    const refusal = options.refuse(request);
    if (refusal === undefined) options.request(request, response, plan);
    else writeError(response, new DomainError('FORBIDDEN', refusal));
  });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    upgraded.add(socket);
    socket.on('close', () => upgraded.delete(socket));
    const refusal = options.refuse(request);
    if (refusal === undefined) options.upgrade(request, socket, head, plan);
    else refuseUpgrade(socket, new DomainError('FORBIDDEN', refusal));
  });
  await listen(server, plan, options.host);
  return server;
}

const handshakeMs = 10_000;

/** Connections that are there keep theirs. */
function renew(
  files: CertificateFiles | undefined,
  first: Certificates,
  servers: readonly (Server | TlsServer)[],
): CertificateWatch | undefined {
  if (files === undefined) return undefined;
  const log = logger('http');
  const said = {
    info: (message: string, details = {}) => log.info(details, message),
    warn: (message: string, details = {}) => log.warn(details, message),
  };
  return new CertificateWatch(
    { files, what: 'HTTP', expires: metrics.httpCertificateExpires },
    first,
    said,
    ({ cert, key }) => {
      for (const server of servers)
        if ('setSecureContext' in server) server.setSecureContext({ cert, key, minVersion: 'TLSv1.2' });
    },
  );
}

/** Answers a WebSocket request that is not let in; there is no response object yet at that point. */
export function refuseUpgrade(socket: Duplex, error: DomainError): void {
  const { status, headers, body } = errorAnswer(error);
  const text = JSON.stringify(body);
  const lines = Object.entries({
    connection: 'close',
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    // RFC 9110, 11.6.1: how to log in.
    ...(status === 401 ? { 'www-authenticate': 'Bearer realm="Meterflow"' } : {}),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} Refused\r\n${lines.join('')}\r\n${text}`);
}

function listen(server: Server | TlsServer, plan: DoorPlan, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => reject(portError(error, plan, host));
    server.once('error', failed);
    server.listen(plan.port, host, () => {
      server.off('error', failed);
      resolve();
    });
  });
}

/** One sentence: which port, why, and what changes it. */
export function portError(error: unknown, { port, variable }: DoorPlan, host: string): DomainError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: `Port ${port} on ${host} is in use by another program: stop that, or set ${variable} to another port.`,
    EACCES: `Port ${port} on ${host} may not be opened by this user: set ${variable} to a port above 1023.`,
    EADDRNOTAVAIL: `This machine has no address ${host}: set HOST to one it has.`,
    ENOTFOUND: `The name ${host} has no address: set HOST to an address of this machine.`,
  };
  return new DomainError(
    'CONFIGURATION',
    reasons[code] ?? `Port ${port} on ${host} cannot be opened (${code}): see ${variable}.`,
    { cause: error },
  );
}
