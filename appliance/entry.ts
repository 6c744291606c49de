import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';
import type { Express, NextFunction, Request, Response } from 'express';
import { DomainError, isDomainError } from '../src/errors.js';
import { createCors } from '../src/http/cors.js';
import { refuseUpgrade } from '../src/http/doors.js';
import { writeError } from '../src/http/errors.js';
import { createLoginThrottle } from '../src/http/login-throttle.js';
import { servesLive } from '../src/live/runtime.js';
import type { Environment } from '../src/operation/environment.js';
import { logger } from '../src/operation/logging.js';
import { registry } from '../src/operation/metrics.js';
import { serveDocs } from './docs.js';
import type { House, Watch } from './front.js';
import type { Entrance } from './gate.js';
import { isApiPath } from './node-red-settings.js';

/** From the doors to Node-RED: who is let in, and where to. */
export interface Entry {
  request(request: IncomingMessage, response: ServerResponse): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void>;
}

export interface EntryPlan {
  readonly environment: Environment;
  readonly house: House;
  readonly watch: Watch;
  /** Node-RED's: whom the gate admits is handed on to everybody who listens there. */
  readonly server: Server;
  readonly isEditors: (request: Request) => boolean;
}

/** A WebSocket lasts; whether who opened it is still welcome is asked so often. */
const recheckMs = 10_000;

/**
 * In front of everything that listens to Node-RED's server: the dashboard's socket.io answers its own requests before
 * any application there sees them.
 */
export function openEntry({ environment, house, watch, server, isEditors }: EntryPlan): Entry {
  const { gate, routes } = watch;
  const root = application(environment);
  const cors = createCors(environment.CORS_ORIGINS ?? []);
  const throttle = createLoginThrottle();

  const pass = (entranceOf: (request: Request) => Entrance) =>
    step(async (request, response) => {
      try {
        await gate.admit(request, entranceOf(request));
      } catch (error) {
        if (isDomainError(error) && error.code === 'UNAUTHORIZED')
          response.setHeader('www-authenticate', 'Basic realm="Meterflow", charset="UTF-8"');
        throw error;
      }
    });

  root.use((request: Request, response: Response, next: NextFunction) => {
    const isApi = isApiPath(request.path) || request.path === '/openapi.json';
    if (!isApi || !cors(request, response)) next();
  });
  root.post(
    '/auth/token',
    step(async (request, response) => {
      if (!isEditors(request)) return;
      const takeBack = await throttle.attempt(request.ip);
      response.once('finish', () => void (response.statusCode < 400 ? takeBack() : undefined));
    }),
  );
  root.use((request: Request, response: Response, next: NextFunction) => {
    // The editor's parsers would answer bad JSON in their own way, so the API passes it by.
    if (isEditors(request)) house.httpAdmin(request, response, next);
    else next();
  });
  serveDocs(root);
  root.get(
    '/metrics',
    pass(() => 'metrics'),
    (_request: Request, response: Response, next: NextFunction) => {
      registry.metrics().then((text) => response.type(registry.contentType).send(text), next);
    },
  );
  root.use(pass((request) => routes.entranceOf(house.httpNode, request)));
  root.use((request: Request, response: Response) => void server.emit('request', request, response));
  root.use(failed);

  /** As of a request, with the address that TRUST_PROXY believes. */
  const spoken = (request: IncomingMessage): Request =>
    Object.setPrototypeOf(request, root.request as object) as Request;

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    try {
      // The editor's own channel asks for its login inside.
      if (path !== '/comms') {
        const entrance = servesLive(server, path) ? 'guarded' : routes.entranceOfSocket(path);
        await admitSocket(spoken(request), socket, entrance);
      }
      server.emit('upgrade', request, socket, head);
    } catch (error) {
      if (!isDomainError(error)) logger('http').error({ err: error }, 'an upgrade failed');
      refuseUpgrade(socket, isDomainError(error) ? error : new DomainError('INTERNAL', 'Something failed.'));
    }
  }

  async function admitSocket(request: Request, socket: Duplex, entrance: Entrance): Promise<void> {
    await gate.admit(request, entrance);
    if (entrance === 'guarded' || entrance === 'open') return;
    const timer = setInterval(() => {
      gate.admit(request, entrance).catch((error: unknown) => {
        const isGone = isDomainError(error) && /^(?:UNAUTHORIZED|FORBIDDEN)$/.test(error.code);
        if (isGone) socket.destroy();
      });
    }, recheckMs);
    timer.unref();
    socket.once('close', () => clearInterval(timer));
  }

  return { request: root, upgrade };
}

type Step = (request: Request, response: Response) => Promise<void>;

/** Work on the way of a request: what fails ends it. */
function step(work: Step) {
  return (request: Request, response: Response, next: NextFunction): void =>
    void walk(work, request, response, next);
}

async function walk(work: Step, request: Request, response: Response, next: NextFunction): Promise<void> {
  try {
    await work(request, response);
  } catch (error) {
    return next(error);
  }
  next();
}

/** Node-RED's own express: its nodes look for the application at the root of what they are mounted on. */
export function application({ TRUST_PROXY }: Environment): Express {
  const express = createRequire(require.resolve('node-red'))('express') as () => Express;
  const root = express();
  root.disable('x-powered-by');
  root.set('trust proxy', TRUST_PROXY ?? false);
  return root;
}

/** Express knows it by its four parameters. */
export function failed(error: unknown, _request: Request, response: Response, _next: NextFunction): void {
  if (!isDomainError(error)) logger('http').error({ err: error }, 'a request failed');
  writeError(response, error);
}
