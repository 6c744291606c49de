/** The plain endpoint: node:http, pg and SQL, nothing between them. */
import { createServer, type IncomingMessage } from 'node:http';
import { openQuestions, type Question } from './plain-questions.js';

const ask = openQuestions(process.env['PEER_PG_URL'] ?? '');

const routes: readonly (readonly [method: string, path: RegExp, question: Question])[] = [
  ['GET', /^\/api\/meter_data\/([^/]+)$/, 'latest'],
  ['GET', /^\/api\/meters\/([^/]+)\/readings$/, 'readings'],
  ['GET', /^\/api\/meters\/([^/]+)\/stats\/hourly$/, 'hourly'],
  ['GET', /^\/api\/meters\/([^/]+)\/stats\/daily$/, 'daily'],
  ['GET', /^\/api\/meters\/stats$/, 'totals'],
  ['GET', /^\/api\/meters\/([^/]+)\/balance$/, 'balance'],
  ['GET', /^\/devices$/, 'devices'],
  ['POST', /^\/api\/meters\/submit-reading$/, 'submit'],
];

async function read(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return chunks.length === 0 ? {} : (JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>);
}

const server = createServer((request, response) => {
  const answer = (status: number, payload: unknown): void => {
    const text = JSON.stringify(payload);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    response.writeHead(status, headers).end(text);
  };
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://plain');
  const route = routes.find(([method, path]) => method === request.method && path.test(pathname));
  if (route === undefined) return answer(404, {});
  const id = route[1].exec(pathname)?.[1] ?? '';
  const user = String(request.headers['x-user-id'] ?? '');
  read(request)
    .then((body) => ask[route[2]]({ id, query: Object.fromEntries(searchParams), body, user }))
    .then(
      ({ status, payload }) => answer(status, payload),
      (error: unknown) => {
        process.stderr.write(`${String(error)}\n`);
        answer(500, {});
      },
    );
});
server.listen(Number(process.env['PEER_HTTP_PORT']), '127.0.0.1', () => process.stdout.write('listening\n'));
process.on('SIGTERM', () => process.exit(0));
