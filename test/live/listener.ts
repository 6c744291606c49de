import { once } from 'node:events';
import { WebSocket, type ClientOptions } from 'ws';
import { eventually } from '../support/eventually.js';

export interface Told {
  readonly event: string;
  readonly id?: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** One who listens on /ws and keeps what he hears. */
export interface Listener {
  readonly ws: WebSocket;
  readonly told: Told[];
  /** Code and reason, when it is over. */
  readonly farewell: Promise<{ readonly code: number; readonly reason: string }>;
  say(message: unknown): void;
  /** Waits until he has heard so many. */
  hears(count: number): Promise<readonly Told[]>;
  close(): Promise<void>;
}

/** Rejects with the status when he is not let in. */
export async function listenTo(url: string, options: ClientOptions = {}): Promise<Listener> {
  const ws = new WebSocket(url, options);
  const told: Told[] = [];
  ws.on('message', (data) => told.push(JSON.parse((data as Buffer).toString()) as Told));
  const farewell = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve);
    ws.once('unexpected-response', (_request, response) => {
      ws.terminate();
      reject(new Error(`refused with ${response.statusCode}`));
    });
    ws.once('error', reject);
  });
  ws.on('error', () => undefined);
  return {
    ws,
    told,
    farewell,
    say: (message) => ws.send(typeof message === 'string' ? message : JSON.stringify(message)),
    async hears(count) {
      await eventually(() => told.length >= count);
      return told;
    },
    async close() {
      if (ws.readyState === WebSocket.CLOSED) return;
      const closed = once(ws, 'close');
      ws.close();
      await closed;
    },
  };
}
