import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serveSimulator } from '../../src/mocks/payment-provider/server.js';
import {
  createPaymentSimulator,
  type PaymentSimulator,
  type SimulatorSettings,
} from '../../src/mocks/payment-provider/simulator.js';
import type { SentCallback } from '../../src/mocks/payment-provider/callbacks.js';
import { createProvider, type Provider, type ProviderSettings } from '../../src/payments/provider.js';

export interface HttpHouse {
  readonly url: string;
  close(): Promise<void>;
}

/** A real HTTP server on a free port. */
export async function listen(
  serve: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<HttpHouse> {
  const server = createServer(serve);
  await new Promise<void>((settle) => void server.listen(0, '127.0.0.1', settle));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise<void>((settle) => {
        server.close(() => settle());
        server.closeAllConnections();
      }),
  };
}

export interface Received {
  readonly path: string;
  readonly body: Record<string, unknown>;
}

/** Somebody who is called back: keeps what comes and answers what he is told to. */
export interface Listener extends HttpHouse {
  readonly received: readonly Received[];
  answer: (received: Received) => { readonly status: number; readonly body: unknown };
}

export async function listenForCallbacks(): Promise<Listener> {
  const received: Received[] = [];
  const accepted = { status: 200, body: { ResultCode: 0, ResultDesc: 'Accepted' } };
  const listener: Pick<Listener, 'received' | 'answer'> = { received, answer: () => accepted };
  const http = await listen((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const one = { path: request.url ?? '', body: JSON.parse(text) as Record<string, unknown> };
      received.push(one);
      const { status, body } = listener.answer(one);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  return Object.assign(listener, http);
}

export const login = {
  shortCode: '600638',
  passkey: 'a-passkey',
  consumerKey: 'key',
  consumerSecret: 'secret',
} as const;

export const quiet: SimulatorSettings = {
  ...login,
  seed: 1,
  refusing: 0,
  answerMs: 0,
  delay: { minMs: 0, maxMs: 0 },
  mishaps: { lost: 0, doubled: 0, late: 0 },
  bothChannels: false,
  phoneForm: 'masked',
};

export interface ProviderHouse extends HttpHouse {
  readonly simulator: PaymentSimulator;
  readonly provider: Provider;
  readonly sent: readonly SentCallback[];
  /** Paths asked for so far. */
  readonly asked: readonly string[];
}

/** The simulated provider behind HTTP, and our client of it. */
export async function openProvider(
  settings: Partial<SimulatorSettings> = {},
  client: Partial<ProviderSettings> = {},
): Promise<ProviderHouse> {
  const sent: SentCallback[] = [];
  const asked: string[] = [];
  const simulator = createPaymentSimulator({ ...quiet, ...settings }, (callback) => sent.push(callback));
  const serve = serveSimulator(simulator);
  const http = await listen((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    asked.push(path);
    void serve(request, response, path);
  });
  const provider = createProvider({ ...login, url: http.url, timeoutMs: 2_000, ...client });
  return {
    ...http,
    simulator,
    provider,
    sent,
    asked,
    async close() {
      await simulator.close();
      await http.close();
    },
  };
}
