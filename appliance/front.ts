import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';
import type { Express, NextFunction, Request, Response } from 'express';
import { DomainError } from '../src/errors.js';
import { openDoors, refuseUpgrade } from '../src/http/doors.js';
import type { DoorPlan, Doors } from '../src/http/doors.js';
import { writeError } from '../src/http/errors.js';
import { originProblem } from '../src/http/origin.js';
import type { Environment } from '../src/operation/environment.js';
import { readiness } from '../src/operation/health.js';
import type { Check } from '../src/operation/health.js';
import { logger } from '../src/operation/logging.js';
import { registry } from '../src/operation/metrics.js';
import { serveDocs } from './docs.js';
import type { Gate } from './gate.js';
import { isApiPath } from './node-red-settings.js';

/** Node-RED's two web applications. */
export interface House {
  readonly httpAdmin: Express;
  readonly httpNode: Express;
}

export interface Front {
  readonly doors: Doors;
  /** Given to Node-RED; it never listens itself, the doors hand everything on to it. */
  readonly server: Server;
  /** From now on requests are answered; until then they hear 503. */
  admit(house: House): void;
}

const log = logger('http');

/** Opens all HTTP ports at once, so that a busy one is told before anything heavy has begun. */
export async function openFront(
  environment: Environment,
  checks: Readonly<Record<string, Check>>,
  gate: Gate,
): Promise<Front> {
  const server = createServer();
  // Each dashboard and WebSocket node adds listeners of its own.
  server.setMaxListeners(0);
  let house: Express | undefined;
  // There before Node-RED starts: the dashboard's socket.io wraps the listeners that it finds, and would answer its
  // requests a second time beside one that came later.
  server.on('request', (request, response) => house?.(request, response));
  const doors = await openDoors(doorPlans(environment), {
    host: environment.HOST,
    refuse: refusal(environment),
    request(request, response, door) {
      if (pathOf(request) === '/healthz') return sendJson(response, 200, { status: 'live' });
      if (pathOf(request) === '/readyz') return void sendReadiness(response, checks);
      if (house === undefined)
        return writeError(response, new DomainError('DATABASE_UNAVAILABLE', 'Meterflow is starting.'));
      entrances.set(request, door);
      server.emit('request', request, response);
    },
    upgrade(request, socket, head) {
      if (house === undefined)
        return refuseUpgrade(socket, new DomainError('DATABASE_UNAVAILABLE', 'Meterflow is starting.'));
      void passUpgrade(gate, server, request, socket, head);
    },
  });
  return {
    doors,
    server,
    admit(applications) {
      house = routes(environment, applications, gate);
    },
  };
}

/** Never the editor's. */
function isOwnPath(path: string): boolean {
  return isApiPath(path) || /^\/(?:metrics|docs|openapi\.json|dashboard|simulators)(?:\/|$)/.test(path);
}

/** Which door a request came through; compat ports lead to the API only. */
const entrances = new WeakMap<IncomingMessage, DoorPlan>();

function routes(environment: Environment, house: House, gate: Gate): Express {
  // Node-RED's own express: its nodes look for the application at the root of what they are mounted on.
  const express = createRequire(require.resolve('node-red'))('express') as () => Express;
  const root = express();
  root.disable('x-powered-by');
  root.set('trust proxy', environment.TRUST_PROXY ?? false);
  root.use((request: Request, response: Response, next: NextFunction) => {
    const editor = entrances.get(request)?.variable === 'PORT' && !isOwnPath(request.path);
    // The editor's parsers would answer bad JSON in their own way, so the API passes it by.
    if (editor) house.httpAdmin(request, response, next);
    else next();
  });
  root.use((request: Request, response: Response, next: NextFunction) => {
    void passGate(gate, request, response, next);
  });
  serveDocs(root);
  root.get('/metrics', (_request: Request, response: Response, next: NextFunction) => {
    registry.metrics().then((text) => response.type(registry.contentType).send(text), next);
  });
  root.use(house.httpNode);
  root.use((request: Request, response: Response) => {
    writeError(response, new DomainError('NOT_FOUND', `There is no ${request.method} ${request.path}.`));
  });
  root.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    log.error({ err: error }, 'a request failed');
    writeError(response, error);
  });
  return root;
}

async function passGate(gate: Gate, request: Request, response: Response, next: NextFunction): Promise<void> {
  try {
    if (await gate.admits(request)) next();
    else gate.ask(response);
  } catch (error) {
    next(error);
  }
}

async function passUpgrade(
  gate: Gate,
  server: Server,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  // The editor's own channel asks for its login inside.
  const admitted = pathOf(request) === '/comms' || (await gate.admits(request));
  if (admitted) server.emit('upgrade', request, socket, head);
  else refuseUpgrade(socket, new DomainError('UNAUTHORIZED', 'Log in first.'));
}

function doorPlans(environment: Environment): DoorPlan[] {
  const compat = (environment.HTTP_COMPAT_PORTS ?? []).map((port) => ({
    port,
    variable: 'HTTP_COMPAT_PORTS',
  }));
  return [{ port: environment.PORT, variable: 'PORT' }, ...compat];
}

/** [S-1]: an open demo looks at Host and Origin; [S-2]: every refusal is logged with address and reason. */
function refusal(environment: Environment): (request: IncomingMessage) => string | undefined {
  if (environment.METERFLOW_PROFILE === 'production') return () => undefined;
  const network = environment.DEMO_ALLOW_NETWORK;
  return (request) => {
    const problem = originProblem(request.headers, { network });
    if (problem !== undefined) {
      const { host, origin } = request.headers;
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
