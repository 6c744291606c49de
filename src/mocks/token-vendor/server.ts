import type { IncomingMessage, ServerResponse } from 'node:http';
import { readJson } from '../../http/body.js';
import type { TokenVendor, VendorAnswer } from './vendor.js';

const bodyLimits = { bytesMax: 65_536, depthMax: 16 };

/** `POST /` with `{meter_number, credit_token}`; `path` is without what it is mounted under. */
export function serveTokenVendor(vendor: TokenVendor, onAnswer: (answer: VendorAnswer) => void) {
  async function answer(request: IncomingMessage, path: string): Promise<VendorAnswer> {
    if (path !== '/') return refused(404, 'No such resource');
    if (request.method !== 'POST') return refused(405, 'POST a token');
    let said: unknown;
    try {
      said = await readJson(request, bodyLimits);
    } catch {
      return refused(400, 'The body is not JSON');
    }
    const wish = request.headers['x-simulate'];
    return vendor.order(said, typeof wish === 'string' ? wish : undefined);
  }

  return async (request: IncomingMessage, response: ServerResponse, path: string): Promise<void> => {
    const given = await answer(request, path);
    onAnswer(given);
    const text = JSON.stringify(given.body);
    response.writeHead(given.status, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
  };
}

function refused(status: number, message: string): VendorAnswer {
  return { act: 'refuse', status, body: { status: 'refused', message } };
}
