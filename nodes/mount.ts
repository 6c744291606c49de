import type { IncomingMessage, ServerResponse } from 'node:http';
import type { NodeAPI } from 'node-red';

/** Answers a request; `path` is without what it is mounted under. */
export type Serve = (request: IncomingMessage, response: ServerResponse, path: string) => Promise<void>;

type Handler = (request: IncomingMessage, response: ServerResponse, fail: (error: unknown) => void) => void;

interface Router {
  readonly stack: { readonly handle: unknown }[];
}

/**
 * Serves something under the address of the flows.
 * @returns what takes it away again: express has no word for that, so its stack is searched as Node-RED's own nodes do
 */
export function mount(RED: NodeAPI, at: string, serve: Serve): () => void {
  const application = RED.httpNode as unknown as {
    use(path: string, handler: Handler): void;
    readonly router?: Router;
    readonly _router?: Router;
  };
  const handler: Handler = (request, response, fail) => {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    serve(request, response, path).then(undefined, fail);
  };
  application.use(at, handler);
  return () => {
    const stack = (application._router ?? application.router)?.stack ?? [];
    const index = stack.findIndex(({ handle }) => handle === handler);
    if (index !== -1) stack.splice(index, 1);
  };
}
