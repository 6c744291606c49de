import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { DomainError } from '../errors.js';
import { errorAnswer, writeError } from './errors.js';

/** A port on which people and machines come in; all doors lead to the same house. */
export interface DoorPlan {
  readonly port: number;
  /** The variable that moves it, named when the port is taken. */
  readonly variable: string;
}

export interface DoorOptions {
  readonly host: string;
  /** Why this request is not let in; undefined lets it in. */
  readonly refuse: (request: IncomingMessage) => string | undefined;
  readonly request: (request: IncomingMessage, response: ServerResponse, door: DoorPlan) => void;
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer, door: DoorPlan) => void;
}

export interface Doors {
  /** Takes no more callers, ends what is open after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Opens all ports or none; rejects with one sentence naming the busy port and its variable ([C-4]). */
export async function openDoors(plans: readonly DoorPlan[], options: DoorOptions): Promise<Doors> {
  const upgraded = new Set<Duplex>();
  const servers: Server[] = [];
  try {
    for (const plan of plans) servers.push(await open(plan, options, upgraded));
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
  return {
    async close(graceMs) {
      const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
      for (const socket of upgraded) socket.destroy();
      for (const server of servers) server.closeIdleConnections();
      const timer = setTimeout(() => servers.forEach((server) => server.closeAllConnections()), graceMs);
      await Promise.all(closed);
      clearTimeout(timer);
    },
  };
}

async function open(plan: DoorPlan, options: DoorOptions, upgraded: Set<Duplex>): Promise<Server> {
  // A body has 30 s to arrive, headers 10 s: a slow sender holds nothing for long.
  const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 10_000 });
  server.on('request', (request, response) => {
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

/** Answers a WebSocket request that is not let in; there is no response object yet at that point. */
export function refuseUpgrade(socket: Duplex, error: DomainError): void {
  const { status, body } = errorAnswer(error);
  const text = JSON.stringify(body);
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

function listen(server: Server, plan: DoorPlan, host: string): Promise<void> {
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
