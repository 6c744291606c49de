import createClient, { type Client } from 'openapi-fetch';
import type { components, paths } from './meterflow-api.d.ts';

export type Schemas = components['schemas'];
export type ErrorCode = Schemas['Error']['error']['code'];
/** What /ws tells. */
export type LiveMessage = Schemas['LiveMessage'];

/** A person's token, or a machine's key; the demo needs neither. */
export interface Login {
  readonly token?: string | undefined;
  readonly apiKey?: string | undefined;
}

/** Every route of the API with its parameters, bodies and answers, as the document of the instance has them. */
export function createMeterflow(url: string, { token, apiKey }: Login = {}): Client<paths> {
  const headers: Record<string, string> = {};
  if (token) headers['authorization'] = `Bearer ${token}`;
  if (apiKey) headers['x-api-key'] = apiKey;
  return createClient<paths>({
    baseUrl: url,
    headers,
    fetch: inTime,
    querySerializer: { array: { style: 'form', explode: false } },
  });
}

/** A client without a deadline waits for ever some day. */
function inTime(request: Request): Promise<Response> {
  return fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(30_000)]) });
}

/** A refusal of the API. `code` does not change; the message is for people. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: ErrorCode;
  readonly status: number;
  /** Of 429 and 503: seconds until asking again makes sense. */
  readonly retryAfter: number | null;

  constructor({ error }: Schemas['Error'], { status, headers }: Response) {
    super(error.message);
    this.code = error.code;
    this.status = status;
    this.retryAfter = headers.has('retry-after') ? Number(headers.get('retry-after')) : null;
  }
}

interface Answer<T> {
  readonly data?: T;
  readonly error?: Schemas['Error'];
  readonly response: Response;
}

/** `await answer(api.GET('/devices'))`: what was asked for. @throws Refusal */
export async function answer<T>(asked: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await asked;
  if (error !== undefined) throw new Refusal(error, response);
  return data as T;
}
