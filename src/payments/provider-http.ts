import { DomainError } from '../errors.js';
import { isFields, textOf } from './provider-values.js';

/** What the provider said: its JSON, and the HTTP status that it came with. */
export interface Said {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Asking {
  readonly method: 'GET' | 'POST';
  readonly authorization: string;
  readonly body?: object;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

const answerBytesMax = 65_536;

/**
 * One request to the provider, with a deadline. Redirects are not followed: they would carry our login elsewhere.
 * @throws DomainError PAYMENT_UNAVAILABLE when no JSON comes back in time
 */
export async function askProvider(url: string, asking: Asking): Promise<Said> {
  const { method, authorization, body, timeoutMs } = asking;
  const signal = AbortSignal.any([asking.signal, AbortSignal.timeout(timeoutMs)]);
  try {
    const response = await fetch(url, {
      method,
      redirect: 'error',
      signal,
      headers: { authorization, accept: 'application/json', ...(body === undefined ? {} : json) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const said: unknown = JSON.parse(await textWithin(response, answerBytesMax));
    return { status: response.status, body: isFields(said) ? said : {} };
  } catch (cause) {
    asking.signal.throwIfAborted();
    throw unavailable(reasonOf(cause, timeoutMs), cause);
  }
}

const json = { 'content-type': 'application/json' };

export function unavailable(reason: string, cause?: unknown): DomainError {
  return new DomainError('PAYMENT_UNAVAILABLE', `The payment provider ${reason}.`, { cause });
}

/** `400.002.02: Bad Request - Invalid Amount`, as far as the provider tells. */
export function refusalOf({ status, body }: Said): string {
  const parts = [
    body['errorCode'] ?? body['ResponseCode'],
    body['errorMessage'] ?? body['ResponseDescription'],
  ];
  const told = parts.map((part) => textOf(part, 300)).filter((part) => part !== null);
  return told.length === 0 ? `HTTP ${status}` : told.join(': ');
}

async function textWithin(response: Response, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > bytesMax) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Never the URL: the address of a simulator may be anything, and a body may hold the path secret. */
function reasonOf(cause: unknown, timeoutMs: number): string {
  if (cause instanceof Error && cause.name === 'TimeoutError') return `did not answer within ${timeoutMs} ms`;
  if (cause instanceof SyntaxError) return 'answered with something that is not JSON';
  const code = (cause as { cause?: { code?: unknown } } | undefined)?.cause?.code;
  return `cannot be reached${typeof code === 'string' ? ` (${code})` : ''}`;
}
