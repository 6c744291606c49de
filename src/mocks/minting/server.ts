import type { IncomingMessage, ServerResponse } from 'node:http';
import { readJson } from '../../http/body.js';
import type { MintingSimulator, MintSaid } from './simulator.js';

const bodyLimits = { bytesMax: 65_536, depthMax: 16 };

/** `POST /` and `GET /{key}`; `path` is without what it is mounted under. */
export function serveMinting(simulator: MintingSimulator, onAnswer: (said: MintSaid) => void) {
  async function answer(request: IncomingMessage, path: string): Promise<MintSaid> {
    if (request.method === 'GET') return simulator.ask(keyOf(path));
    if (request.method !== 'POST' || path !== '/') return refused(405, 'POST a reading, or GET a key.');
    let order: unknown;
    try {
      order = await readJson(request, bodyLimits);
    } catch {
      return refused(400, 'The body is not JSON.');
    }
    return simulator.mint(request.headers['idempotency-key'], order);
  }

  return async (request: IncomingMessage, response: ServerResponse, path: string): Promise<void> => {
    const said = await answer(request, path);
    onAnswer(said);
    if (said.isLost) {
      request.socket.destroy();
      return;
    }
    const text = JSON.stringify(said.body);
    response.writeHead(said.status, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
  };
}

function keyOf(path: string): string {
  try {
    return decodeURIComponent(path.slice(1));
  } catch {
    return '';
  }
}

function refused(status: number, reason: string): MintSaid {
  return { act: 'refuse', status, body: { status: 'refused', reason }, isLost: false };
}
