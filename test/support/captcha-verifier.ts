import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';

export interface CaptchaVerifier {
  readonly url: string;
  close(): void;
}

/** Verifies as reCAPTCHA does: takes the token `passed`, and breaks off at `away`. */
export async function startCaptchaVerifier(): Promise<CaptchaVerifier> {
  const server = createServer((request, response) => void verify(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function verify(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const token = new URLSearchParams(await textOf(request)).get('response');
  if (token === 'away') request.destroy();
  else response.end(JSON.stringify({ success: token === 'passed' }));
}
