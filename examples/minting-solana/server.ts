import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Minter, Said } from './minter.js';

const path = '/v1/mints';
const bytesMax = 65_536;

/** `POST /v1/mints` and `GET /v1/mints/{key}`, to this machine only. @param port 0: a free one */
export async function serveMints(minter: Minter, port = 0): Promise<{ url: string; close(): Promise<void> }> {
  async function answer(request: IncomingMessage): Promise<Said> {
    const at = request.url ?? '';
    if (request.method === 'GET' && at.startsWith(`${path}/`))
      return minter.ask(decodeURIComponent(at.slice(path.length + 1)));
    if (request.method !== 'POST' || at !== path) return said(404, `POST ${path}`);
    const key = request.headers['idempotency-key'];
    return minter.mint(typeof key === 'string' ? key : undefined, parsed(await textOf(request)));
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // 500 is no word about the reading: Meterflow asks by the key.
    const { status, body } = await answer(request).catch((error: unknown) => said(500, String(error)));
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  }

  const server = createServer((request, response) => void serve(request, response));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function said(status: number, reason: string): Said {
  return { status, body: { reason } };
}

/** What is not JSON has no wallet either, and is refused for that. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new Error(`More than ${bytesMax} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
