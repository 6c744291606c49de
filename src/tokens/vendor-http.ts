import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { TLSSocket } from 'node:tls';

export interface Posting {
  readonly method: string;
  /** Another address of the same host. */
  readonly url?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly timeoutMs: number;
}

/** What came back, or how far the request got: `unreached` means that the other side cannot have read it. */
export type Posted =
  | {
      readonly outcome: 'answered';
      readonly status: number;
      /** '' when it is long or breaks off. */ readonly body: string;
    }
  | { readonly outcome: 'unreached'; readonly reason: string }
  | { readonly outcome: 'unknown'; readonly reason: string };

export interface TlsOptions {
  /** PEM. Without it the public authorities are trusted. */
  readonly ca?: string | Buffer | undefined;
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  readonly serverName?: string | undefined;
}

export interface HttpClient {
  /** Never rejects. Redirects are not followed: they would carry a token elsewhere. */
  post(posting: Posting): Promise<Posted>;
  close(): void;
}

const socketsMax = 256;
const answerBytesMax = 65_536;

export function createHttpClient(url: string, tls: TlsOptions = {}): HttpClient {
  const address = new URL(url);
  const secure = address.protocol === 'https:';
  const agent = secure
    ? new HttpsAgent({ keepAlive: true, maxSockets: socketsMax, ...withoutUndefined(tls) })
    : new HttpAgent({ keepAlive: true, maxSockets: socketsMax });
  const send = secure ? httpsRequest : httpRequest;

  return {
    post: ({ method, url: other, headers, body, timeoutMs }) =>
      new Promise((resolve) => {
        let isConnected = false;
        let isOver = false;
        const request = send(other === undefined ? address : new URL(other), {
          method,
          agent,
          headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
        });
        const timer = setTimeout(() => {
          end(failed(`did not answer within ${timeoutMs} ms`));
        }, timeoutMs);

        let failed = (reason: string): Posted => ({
          outcome: isConnected ? 'unknown' : 'unreached',
          reason,
        });
        function end(posted: Posted): void {
          if (isOver) return;
          isOver = true;
          clearTimeout(timer);
          resolve(posted);
          if (posted.outcome !== 'answered') request.destroy();
        }

        request.on('socket', (socket) => {
          // One of the pool may be dead already, but who knows: it counts as connected.
          if (!socket.connecting) {
            isConnected = true;
            return;
          }
          socket.once((socket as Partial<TLSSocket>).encrypted === true ? 'secureConnect' : 'connect', () => {
            isConnected = true;
          });
        });
        request.on('error', (error) => end(failed(`cannot be reached (${codeOf(error)})`)));
        request.on('response', (response) => {
          const status = response.statusCode ?? 0;
          // What the status says counts, also when the rest never comes.
          failed = () => ({ outcome: 'answered', status, body: '' });
          read(response, (text) => end({ outcome: 'answered', status, body: text }));
        });
        request.end(body);
      }),
    close: () => agent.destroy(),
  };
}

/** To its end, so that the connection can be used again; of an endless answer it cannot. */
function read(response: IncomingMessage, done: (body: string) => void): void {
  const chunks: Buffer[] = [];
  let size = 0;
  response.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > answerBytesMax) response.destroy();
    else chunks.push(chunk);
  });
  response.on('error', () => {});
  response.on('close', () => done(response.complete ? Buffer.concat(chunks).toString('utf8') : ''));
}

/** Never the text of the error: it may hold the address with its login. */
function codeOf(error: Error): string {
  const { code } = error as { code?: unknown };
  if (typeof code === 'string') return code;
  const inner = (error as Partial<AggregateError>).errors?.[0] as { code?: unknown } | undefined;
  return typeof inner?.code === 'string' ? inner.code : 'error';
}

function withoutUndefined(tls: TlsOptions): object {
  const { serverName, ...files } = tls;
  const given = Object.entries({ ...files, servername: serverName }).filter(
    ([, value]) => value !== undefined,
  );
  return Object.fromEntries(given);
}
