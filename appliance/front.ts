import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Express, Request, Response } from 'express';
import type { CertificateFiles } from '../src/broker/certificates.js';
import { DomainError } from '../src/errors.js';
import { openDoors, refuseUpgrade } from '../src/http/doors.js';
import type { DoorOptions, DoorPlan, Doors } from '../src/http/doors.js';
import { urlOf } from './address.js';
import { writeError } from '../src/http/errors.js';
import { originProblem } from '../src/http/origin.js';
import { secureHeaders } from '../src/http/secure-headers.js';
import { servesLive } from '../src/live/runtime.js';
import type { Environment } from '../src/operation/environment.js';
import { readiness } from '../src/operation/health.js';
import type { Check } from '../src/operation/health.js';
import { logger } from '../src/operation/logging.js';
import { metrics } from '../src/operation/metrics.js';
import { application, failed, openEntry, type Entry } from './entry.js';
import type { Gate } from './gate.js';
import { isApiPath } from './node-red-settings.js';
import type { Routes } from './routes.js';

/** Node-RED's two web applications. */
export interface House {
  readonly httpAdmin: Express;
  readonly httpNode: Express;
}

/** Who may use what of it. */
export interface Watch {
  readonly gate: Gate;
  readonly routes: Pick<Routes, 'entranceOf' | 'entranceOfSocket'>;
}

export interface Front {
  /** Where our own flows reach us. */
  readonly ownUrl: string;
  close(graceMs: number): Promise<void>;
  /** Given to Node-RED; it never listens itself, the doors hand everything on to it. */
  readonly server: Server;
  /** From now on requests are answered; until then they hear 503. */
  admit(house: House, watch: Watch): void;
}

const log = logger('http');

/** Opens all HTTP ports at once, so that a busy one is told before anything heavy has begun. */
export async function openFront(
  environment: Environment,
  checks: Readonly<Record<string, Check>>,
): Promise<Front> {
  const server = createServer();
  // Each dashboard and WebSocket node adds listeners of its own.
  server.setMaxListeners(0);
  let inside: Express | undefined;
  let entrance: Entry | undefined;
  // There before Node-RED starts: the dashboard's socket.io wraps the listeners that it finds, and would answer its
  // requests a second time beside one that came later.
  server.on('request', (request, response) => inside?.(request, response));
  const options: DoorOptions = {
    host: environment.HOST,
    tls: httpsFiles(environment),
    headers: (request) => secureHeaders(request, isData(pathOf(request))),
    refuse: refusal(environment, server),
    request(request, response, door) {
      if (pathOf(request) === '/healthz') return sendJson(response, 200, { status: 'live' });
      if (pathOf(request) === '/readyz') return void sendReadiness(response, checks);
      if (entrance === undefined)
        return writeError(response, new DomainError('DATABASE_UNAVAILABLE', 'Meterflow is starting.'));
      doorOf.set(request, door);
      entrance.request(request, response);
    },
    upgrade(request, socket, head) {
      if (entrance === undefined)
        return refuseUpgrade(socket, new DomainError('DATABASE_UNAVAILABLE', 'Meterflow is starting.'));
      void entrance.upgrade(request, socket, head);
    },
  };
  const doors = await openDoors(doorPlans(environment), options);
  const own = await openOwnDoor(environment, options);
  return {
    ownUrl: own === undefined ? urlOf(environment) : `http://127.0.0.1:${own.ports[0]}`,
    async close(graceMs) {
      await Promise.all([doors.close(graceMs), own?.close(graceMs)]);
    },
    server,
    admit(house, watch) {
      inside = insideOf(environment, house);
      entrance = openEntry({ environment, house, watch, server, isEditors });
    },
  };
}

/**
 * The demo plays the systems of others, and they call each other over HTTP: with HTTPS through a door of their own, on
 * loopback, since our certificate is for another name, and signed by whom nothing here trusts.
 */
function openOwnDoor(environment: Environment, options: DoorOptions): Promise<Doors | undefined> {
  if (options.tls === undefined || environment.METERFLOW_PROFILE !== 'demo')
    return Promise.resolve(undefined);
  const plan = { port: 0, variable: 'HTTP_TLS_CERT' };
  return openDoors([plan], { ...options, host: '127.0.0.1', tls: undefined });
}

/** Which door a request came through; compat ports lead to the API only. */
const doorOf = new WeakMap<IncomingMessage, DoorPlan>();

function isEditors(request: Request): boolean {
  return doorOf.get(request)?.variable === 'PORT' && !isOwnPath(request.path);
}

/** Never the editor's. */
function isOwnPath(path: string): boolean {
  return isApiPath(path) || /^\/(?:metrics|docs|openapi\.json|dashboard|simulators)(?:\/|$)/.test(path);
}

/** Answered with data, not with pages. */
function isData(path: string): boolean {
  return isApiPath(path) || /^\/(?:healthz|readyz|metrics|openapi\.json)$/.test(path);
}

/** What is behind the gate: what the flows serve. */
function insideOf(environment: Environment, house: House): Express {
  const root = application(environment);
  root.use(house.httpNode);
  root.use((request: Request, response: Response) => {
    writeError(response, new DomainError('NOT_FOUND', `There is no ${request.method} ${request.path}.`));
  });
  root.use(failed);
  return root;
}

/** Both or none: see the rules of the environment. */
function httpsFiles(environment: Environment): CertificateFiles | undefined {
  const { HTTP_TLS_CERT: certFile, HTTP_TLS_KEY: keyFile } = environment;
  return certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile };
}

function doorPlans(environment: Environment): DoorPlan[] {
  const compat = (environment.HTTP_COMPAT_PORTS ?? []).map((port) => ({
    port,
    variable: 'HTTP_COMPAT_PORTS',
  }));
  return [{ port: environment.PORT, variable: 'PORT' }, ...compat];
}

/**
 * [S-1]: an open demo looks at Host and Origin; [S-2]: every refusal is logged with address and reason. Pages of listed
 * origins reach the API and live events, never the editor.
 */
function refusal(environment: Environment, server: Server): (request: IncomingMessage) => string | undefined {
  if (environment.METERFLOW_PROFILE === 'production') return () => undefined;
  const network = environment.DEMO_ALLOW_NETWORK;
  return (request) => {
    const path = pathOf(request);
    const isListed = isData(path) || servesLive(server, path);
    const problem = originProblem(request.headers, {
      network,
      admitted: isListed ? environment.CORS_ORIGINS : undefined,
    });
    if (problem !== undefined) {
      const { host, origin } = request.headers;
      metrics.httpRefused.inc({ reason: 'host or origin' });
      log.warn({ address: request.socket.remoteAddress, host, origin, reason: problem }, 'request refused');
    }
    return problem;
  };
}

async function sendReadiness(
  response: ServerResponse,
  checks: Readonly<Record<string, Check>>,
): Promise<void> {
  const { ready, checks: found } = await readiness(checks);
  sendJson(response, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', checks: found });
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const retry = status === 503 ? { 'retry-after': '5' } : {};
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    ...retry,
  });
  response.end(JSON.stringify(body));
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0] ?? '/';
}
