import type { Express, NextFunction, Request, Response } from 'express';
import { judgedCaller } from '../src/callers/judged.js';
import { writeError } from '../src/http/errors.js';
import { logger } from '../src/operation/logging.js';
import { may, refusal, type Entrance } from './gate.js';

/** As `flows:started` tells of it. */
export interface DeployedNode {
  readonly id: string;
  readonly type: string;
  readonly z?: string;
  readonly d?: boolean;
  readonly disabled?: boolean;
  readonly url?: string;
  readonly method?: string;
  readonly path?: string;
  /** Whom an api-guard lets in. */
  readonly who?: string;
  readonly wires?: readonly (readonly string[])[];
}

/** Which of what the flows serve has a guard in front of it, as it is deployed. */
export interface Routes {
  /** From the flows that run now. */
  learn(nodes: readonly DeployedNode[]): void;
  entranceOf(application: Express, request: Request): Entrance;
  entranceOfSocket(path: string): Entrance;
  /** Among the middleware of every `http in`: the second lock, and what tells these routes from others. */
  readonly check: (request: Request, response: Response, next: NextFunction) => void;
}

/** @param closed production; in the demo everything is open ([S-1]) */
export function createRoutes({ closed }: { readonly closed: boolean }): Routes {
  let guarded = new Set<string>();
  let open = new Set<string>();
  let dashboards: readonly string[] = [];
  const told = new Set<string>();

  const isDashboards = (path: string): boolean => dashboards.some((root) => isBelow(path, root));

  const check: Routes['check'] = (request, response, next) => {
    const { path, methods } = (request as RoutedRequest).route;
    const isGuarded = guarded.has(routeKey(Object.keys(methods)[0] ?? '', path));
    const caller = judgedCaller(request);
    if (!closed || isGuarded || (caller !== undefined && may(caller, 'inside'))) next();
    else {
      const details = { address: request.ip, route: path, reason: 'no guard' };
      writeError(response, refusal('UNAUTHORIZED', 'Log in first.', details));
    }
  };

  return {
    check,
    learn(nodes) {
      const found = guardedRoutes(nodes);
      guarded = found.guarded;
      open = found.open;
      dashboards = nodes.filter(({ type }) => type === 'ui-base').map(({ path = '/dashboard' }) => path);
      if (!closed) return;
      for (const route of found.bare) {
        if (told.has(route)) continue;
        told.add(route);
        logger('http').warn({ route }, `${route} has no api-guard: it is for the administrator alone`);
      }
    },
    entranceOf(application, request) {
      if (!closed) return 'guarded';
      const { method, path } = request;
      const taker = takerOf(application, method, path)?.route;
      if (!taker?.stack.some(({ handle }) => handle === check))
        return isDashboards(path) ? 'dashboard' : 'inside';
      const key = routeKey(method, taker.path);
      if (!guarded.has(key)) return 'inside';
      if (open.has(key)) return 'open';
      // Pages of the dashboard ask the API, too: asked for the login that it has, the browser sends it.
      return isBare(request) && isDashboards(pageOf(request)) ? 'dashboard' : 'guarded';
    },
    // A guard judges requests, not sockets: behind a route of the same path may be anybody.
    entranceOfSocket: (path) => (isDashboards(path) ? 'dashboard' : 'inside'),
  };
}

/** A route is guarded when every `http in` of it leads to guards and to nothing else; open when these let in anyone. */
function guardedRoutes(nodes: readonly DeployedNode[]): {
  readonly guarded: Set<string>;
  readonly open: Set<string>;
  readonly bare: Set<string>;
} {
  const off = new Set(nodes.filter(({ disabled }) => disabled === true).map(({ id }) => id));
  const runs = nodes.filter(({ d, z = '' }) => d !== true && !off.has(z));
  const guards = new Map(runs.filter(({ type }) => type === 'api-guard').map(({ id, who }) => [id, who]));
  const guarded = new Set<string>();
  const asking = new Set<string>();
  const bare = new Set<string>();
  for (const { type, url = '', method = '', wires = [] } of runs) {
    if (type !== 'http in' || url === '') continue;
    const behind = wires.flat();
    const isGuarded = behind.length > 0 && behind.every((id) => guards.has(id));
    const route = routeKey(method, pathOf(url));
    (isGuarded ? guarded : bare).add(route);
    if (behind.some((id) => guards.get(id) !== 'anyone')) asking.add(route);
  }
  for (const route of bare) guarded.delete(route);
  return { guarded, bare, open: new Set([...guarded].filter((route) => !asking.has(route))) };
}

/** As Node-RED itself makes a path of it. */
function pathOf(url: string): string {
  const said = url.replace(/^\$\{(\w+)\}$/, (whole, name: string) => process.env[name] ?? whole);
  return said.startsWith('/') ? said : `/${said}`;
}

function routeKey(method: string, path: string): string {
  const upper = method.toUpperCase();
  return `${upper === 'HEAD' ? 'GET' : upper} ${path}`;
}

interface Layer {
  readonly regexp?: { readonly fast_slash?: boolean };
  readonly route?: {
    readonly path: string;
    readonly methods: Readonly<Record<string, boolean>>;
    readonly stack: readonly { readonly handle: unknown }[];
  };
  match(path: string): boolean;
}

type RoutedRequest = Request & { readonly route: NonNullable<Layer['route']> };

/**
 * Who of Node-RED's application takes this request: express asks in the same order. Whoever stands at its root without
 * a path of his own passes everything on.
 */
function takerOf(application: Express, method: string, path: string): Layer | undefined {
  const { stack = [] } = (application as unknown as { _router?: { stack: readonly Layer[] } })._router ?? {};
  const verb = method === 'HEAD' ? 'get' : method.toLowerCase();
  try {
    return stack.find((layer) => {
      const { regexp, route } = layer;
      if (regexp?.fast_slash === true || !layer.match(path)) return false;
      return route === undefined || route.methods[verb] === true || route.methods['_all'] === true;
    });
  } catch {
    // A path that cannot be decoded: express answers 400 to whom it is answered at all.
    return undefined;
  }
}

/** Nobody has said yet who asks. */
function isBare({ headers }: Request): boolean {
  return headers.authorization === undefined && headers['x-api-key'] === undefined;
}

/** The path of the page of ours that asks; '' when it is none. */
function pageOf({ headers: { referer = '', host = '' } }: Request): string {
  const page = URL.canParse(referer) ? new URL(referer) : undefined;
  return page?.host === host ? page.pathname : '';
}

function isBelow(path: string, root: string): boolean {
  const lower = path.toLowerCase();
  const base = root.toLowerCase().replace(/\/$/, '');
  return lower === base || lower.startsWith(`${base}/`);
}
