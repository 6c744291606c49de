import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import type { Express, Request, Response } from 'express';
import { openEntry } from '../../appliance/entry.js';
import { createGate, openGate, type GateParts } from '../../appliance/gate.js';
import { createRoutes, type DeployedNode } from '../../appliance/routes.js';
import type { KnownCaller } from '../../src/callers/caller.js';
import { judgedCaller } from '../../src/callers/judged.js';
import { DomainError } from '../../src/errors.js';
import { parseEnvironment } from '../../src/operation/environment.js';

export interface EntryHouse {
  readonly url: string;
  readonly server: Server;
  deploy(nodes: readonly DeployedNode[]): void;
  /** Of all accounts. */
  changePassword(password: string): void;
  close(): Promise<void>;
}

export interface EntryOptions {
  readonly closed?: boolean;
  readonly parts?: Partial<GateParts>;
  readonly environment?: Readonly<Record<string, string>>;
}

/** By bearer token or key. */
const people: Readonly<Record<string, KnownCaller>> = {
  admin: person('admin'),
  operator: person('operator'),
  prosumer: person('prosumer'),
  mfk_metrics: { ...person('operator'), kind: 'key', name: 'key:metrics', scopes: ['metrics'] },
  mfk_live: { ...person('operator'), kind: 'key', name: 'key:live', scopes: ['live'] },
};

export function person(role: KnownCaller['role']): KnownCaller {
  return {
    kind: 'person',
    name: `${role}@example`,
    user_id: role,
    role,
    scopes: null,
    expires_at: null,
  };
}

/** What stands between the doors and Node-RED, with applications in place of Node-RED's that say who came in. */
export async function startEntry({ closed = true, parts, environment }: EntryOptions): Promise<EntryHouse> {
  const express = createRequire(require.resolve('node-red'))('express') as () => Express;
  const routes = createRoutes({ closed });
  let passwords = { current: 'password', changedAt: 0 };
  const httpAdmin = express();
  httpAdmin.post('/auth/token', (request: Request, response: Response) => {
    response.status(request.query['password'] === 'right' ? 200 : 403).end();
  });
  httpAdmin.get('/', (_request: Request, response: Response) => void response.send('editor'));
  const httpNode = express();
  httpNode.use((_request, _response, next) => next());
  const who = (request: Request, response: Response): void =>
    void response.json({ name: judgedCaller(request)?.name ?? null });
  httpNode.use('/dashboard', (request: Request, response: Response, next: () => void) =>
    request.path === '/passed-on' ? next() : who(request, response),
  );
  // As `http in` does.
  for (const path of [
    '/api/guarded',
    '/api/open',
    '/api/half-open',
    '/api/bare',
    '/dashboard/passed-on',
    '/devices/:id',
  ]) {
    httpNode.get(path, [routes.check], who);
    httpNode.post(path, [routes.check], who);
  }
  httpNode.get('/own', who);
  httpNode.get('/:anything', [routes.check], who);

  const gate = closed
    ? createGate({
        administrator: 'admin',
        isPassword: (password) => Promise.resolve(password === 'admin-password'),
        callers: {
          identify(request) {
            const said = request.headersDistinct['authorization']?.[0] ?? '';
            const secret = said.startsWith('Basic ')
              ? Buffer.from(said.slice(6), 'base64').toString().split(':')[1]
              : (said.split(' ')[1] ?? request.headersDistinct['x-api-key']?.[0]);
            if (secret === undefined || secret === '') return Promise.resolve(null);
            const found = people[secret];
            if (found === undefined) throw new DomainError('UNAUTHORIZED', 'This login does not hold.');
            return Promise.resolve(found);
          },
          recall({ user_id, at }) {
            const found = people[user_id];
            if (found === undefined || at < passwords.changedAt)
              return Promise.reject(new DomainError('UNAUTHORIZED', 'This login does not hold.'));
            return Promise.resolve(found);
          },
        },
        prove({ name, password }) {
          const role = name.split('@')[0] ?? '';
          if (password !== passwords.current || !(role in people))
            return Promise.reject(new DomainError('UNAUTHORIZED', 'E-mail or password is wrong.'));
          return Promise.resolve({ user_id: role, email: name, role: 'operator', at: passwords.changedAt });
        },
        ...parts,
      })
    : openGate;

  // Node-RED's: it never listens.
  const inner = createServer();
  inner.on('request', (request, response) => httpNode(request, response));
  inner.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 101 Let in\r\n\r\n'));
  const isEditors = ({ path }: Request): boolean => !/^\/(?:api|devices|dashboard|metrics|docs)/.test(path);
  const entry = openEntry({
    environment: parseEnvironment({ ...environment }),
    house: { httpAdmin, httpNode },
    watch: { gate, routes },
    server: inner,
    isEditors,
  });
  const server = createServer((request, response) => entry.request(request, response));
  server.on('upgrade', (request, socket, head) => void entry.upgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server: inner,
    deploy: (nodes) => routes.learn(nodes),
    changePassword(password) {
      passwords = { current: password, changedAt: passwords.changedAt + 1 };
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
