import type { IncomingMessage, ServerResponse } from 'node:http';
import { DomainError } from '../errors.js';
import { writeError } from './errors.js';

export interface BodyLimits {
  /** 413 above it. */
  readonly bytesMax: number;
  /** 400 below it: Node-RED clones messages recursively, and a thousand brackets would end its stack. */
  readonly depthMax: number;
}

export const bodyLimits: BodyLimits = { bytesMax: 1_048_576, depthMax: 64 };

/** What Node-RED's own parsers look at: a request with `_body` set is left alone by them. */
export type ParsedRequest = IncomingMessage & { body?: unknown; _body?: boolean };

/**
 * Express middleware that reads JSON in place of Node-RED's parsers, so that errors have the contract's shape.
 * @param demanded answers whether a request to this path must be JSON (415 otherwise); others may bring what they like.
 */
export function jsonBody(
  demanded: (path: string) => boolean,
  limitsOf: (path: string) => BodyLimits = () => bodyLimits,
) {
  return (request: ParsedRequest, response: ServerResponse, next: () => void): void => {
    if (request._body === true || !hasBodyMethod(request.method)) return next();
    if (!isJson(request) && !demanded(pathOf(request)) && !isEmpty(request)) return next();
    void parse(request, response, next, limitsOf(pathOf(request)));
  };
}

async function parse(
  request: ParsedRequest,
  response: ServerResponse,
  next: () => void,
  limits: BodyLimits,
): Promise<void> {
  try {
    request.body = await readJson(request, limits);
    request._body = true;
  } catch (error) {
    return refuseBody(request, response, error);
  }
  next();
}

export function refuseBody(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  lingerBriefly(request);
  writeError(response, error);
}

/** Who is refused in mid-body gets the time to hear it, not to send for ever. */
function lingerBriefly(request: IncomingMessage): void {
  if (request.complete) return;
  const timer = setTimeout(() => request.socket.destroy(), lingerMs);
  request.once('end', () => clearTimeout(timer));
  request.once('close', () => clearTimeout(timer));
  request.resume();
}

const lingerMs = 1_000;

/** The body as JSON; `{}` when there is none. Rejects with UNSUPPORTED_MEDIA_TYPE, PAYLOAD_TOO_LARGE or BAD_REQUEST. */
export async function readJson(request: IncomingMessage, limits: BodyLimits = bodyLimits): Promise<unknown> {
  if (isEmpty(request)) return {};
  if (!isJson(request)) {
    throw new DomainError(
      'UNSUPPORTED_MEDIA_TYPE',
      'The body must be JSON: Content-Type: application/json, in UTF-8, not compressed.',
    );
  }
  const bytes = await readBytes(request, limits.bytesMax);
  if (bytes.length === 0) return {};
  const text = decode(bytes);
  if (depthExceeds(text, limits.depthMax))
    throw new DomainError('BAD_REQUEST', `The body is nested deeper than ${limits.depthMax} levels.`);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new DomainError('BAD_REQUEST', 'The body is not valid JSON.', { cause: error });
  }
}

export async function readBytes(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const tooLarge = () => new DomainError('PAYLOAD_TOO_LARGE', `The body is larger than ${bytesMax} bytes.`);
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLarge();
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const early = (error?: Error) =>
      reject(new DomainError('BAD_REQUEST', 'The body ended early.', { cause: error }));
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= bytesMax) chunks.push(chunk);
      else {
        // Read on, but dropped: a socket closed with unread bytes takes the answer with it.
        chunks.length = 0;
        reject(tooLarge());
      }
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('error', early);
    request.on('aborted', () => early());
  });
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new DomainError('BAD_REQUEST', 'The body is not valid UTF-8.', { cause: error });
  }
}

/** Counts brackets outside strings; JSON.parse itself takes any depth. */
function depthExceeds(text: string, depthMax: number): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === 0x5c) at += 1;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x5b || code === 0x7b) {
      depth += 1;
      if (depth > depthMax) return true;
    } else if (code === 0x5d || code === 0x7d) depth -= 1;
  }
  return false;
}

function isJson({ headers }: IncomingMessage): boolean {
  const [type = '', ...parameters] = (headers['content-type'] ?? '')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  const charset = parameters
    .find((parameter) => parameter.startsWith('charset='))
    ?.slice(8)
    .replaceAll('"', '');
  const plain = (headers['content-encoding'] ?? 'identity') === 'identity';
  return (
    plain &&
    (type === 'application/json' || /^application\/[\w.-]+\+json$/.test(type)) &&
    (charset ?? 'utf-8') === 'utf-8'
  );
}

function isEmpty({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
}

function hasBodyMethod(method: string | undefined): boolean {
  return method === 'POST' || method === 'PUT' || method === 'PATCH' || method === 'DELETE';
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0] ?? '/';
}
