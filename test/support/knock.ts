import type { IncomingMessage } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { WebSocket } from 'ws';

/** What somebody hears who asks for a WebSocket; the part of `fetch`'s answer that there is, 101 included. */
export interface Knocked {
  readonly status: number;
  readonly headers: Headers;
  text(): Promise<string>;
}

/** Asks for a WebSocket, and goes again. */
export function knock(url: string, { headers = {} }: RequestInit = {}): Promise<Knocked> {
  const ws = new WebSocket(url.replace('http', 'ws'), { headers: Object.fromEntries(new Headers(headers)) });
  return new Promise((resolve, reject) => {
    const answer = (response: IncomingMessage, text: string): void =>
      resolve({
        status: response.statusCode ?? 0,
        headers: new Headers(response.headers as Record<string, string>),
        text: () => Promise.resolve(text),
      });
    ws.once('upgrade', (response) => {
      answer(response, '');
      ws.once('open', () => ws.close());
    });
    ws.once('unexpected-response', (_request, response) => {
      textOf(response).then((text) => answer(response, text), reject);
    });
    ws.once('error', reject);
  });
}
