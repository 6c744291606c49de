import { createHttpClient, type Posted } from '../tokens/vendor-http.js';
import type { MintOrder } from './mint-request.js';

/**
 * What the minting service says of a key. absent: it never had it. pending: it has it, and has not minted yet. trouble:
 * it said nothing of use; unsent when it cannot have read the request.
 */
export type ServiceAnswer =
  | { readonly outcome: 'minted'; readonly txSignature: string }
  | { readonly outcome: 'refused' | 'pending' | 'trouble' | 'unsent'; readonly reason: string }
  | { readonly outcome: 'absent' };

/** The minting service behind MINTING_URL; docs/minting.md is its contract. Never rejects. */
export interface MintingService {
  /** `POST {url}` with `Idempotency-Key`. */
  mint(order: MintOrder): Promise<ServiceAnswer>;
  /** `GET {url}/{key}`: what became of it. */
  ask(key: string): Promise<ServiceAnswer>;
  close(): void;
}

export function createMintingService({
  url,
  timeoutMs,
}: {
  readonly url: string;
  readonly timeoutMs: number;
}): MintingService {
  const client = createHttpClient(url);
  const headers = { accept: 'application/json' };
  return {
    async mint(order) {
      const posted = await client.post({
        method: 'POST',
        headers: {
          ...headers,
          'content-type': 'application/json',
          'idempotency-key': order.idempotency_key,
        },
        body: JSON.stringify(bodyOf(order)),
        timeoutMs,
      });
      return answerOf(posted, 'POST');
    },
    async ask(key) {
      const posted = await client.post({
        method: 'GET',
        url: addressOf(url, key),
        headers,
        body: '',
        timeoutMs,
      });
      return answerOf(posted, 'GET');
    },
    close: () => client.close(),
  };
}

/** Just this: an order may come with more. */
function bodyOf(order: MintOrder): MintOrder {
  const { idempotency_key, reading_id, meter_id, reading_timestamp, wallet_address, kwh_amount } = order;
  return { idempotency_key, reading_id, meter_id, reading_timestamp, wallet_address, kwh_amount };
}

/** Beneath the service's own path; its query, if any, stays. */
function addressOf(url: string, key: string): string {
  const address = new URL(url);
  address.pathname = `${address.pathname.replace(/\/+$/, '')}/${encodeURIComponent(key)}`;
  return address.href;
}

/**
 * A no to this reading is 400 or 422, or a 200 that says so. Everything else that is no success may be a fault of the way
 * (a proxy, a login, a wrong address), and is no word about the reading.
 */
function answerOf(posted: Posted, method: 'POST' | 'GET'): ServiceAnswer {
  if (posted.outcome !== 'answered')
    return {
      outcome: posted.outcome === 'unreached' ? 'unsent' : 'trouble',
      reason: `The minting service ${posted.reason}.`,
    };
  const { status, body } = posted;
  const said = fieldsOf(body);
  const reason = reasonOf(said);
  if (status >= 200 && status < 300) return successOf(status, said, reason);
  if (method === 'GET' && status === 404) return { outcome: 'absent' };
  if (method === 'POST' && (status === 400 || status === 422))
    return { outcome: 'refused', reason: reason ?? `The minting service answered ${status}.` };
  if (method === 'POST' && status === 409)
    return { outcome: 'pending', reason: reason ?? 'The minting service is at it already.' };
  return { outcome: 'trouble', reason: `The minting service answered ${status}.` };
}

function successOf(
  status: number,
  { status: state, tx_signature: signature }: Fields,
  reason: string | null,
): ServiceAnswer {
  if (isSignature(signature)) return { outcome: 'minted', txSignature: signature };
  if (state === 'refused') return { outcome: 'refused', reason: reason ?? 'The minting service refused it.' };
  if (status === 202 || state === 'pending')
    return { outcome: 'pending', reason: reason ?? 'The minting service has not minted it yet.' };
  return {
    outcome: 'trouble',
    reason: `The minting service answered ${status} without a tx_signature.`,
  };
}

type Fields = Readonly<Record<string, unknown>>;

function isSignature(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]{1,200}$/.test(value);
}

function fieldsOf(body: string): Fields {
  try {
    const said: unknown = JSON.parse(body);
    return typeof said === 'object' && said !== null ? (said as Fields) : {};
  } catch {
    return {};
  }
}

/** Of `{"reason": …}` or our own shape of errors; cut, and without what a database cannot store. */
function reasonOf(said: Fields): string | null {
  const { message } = (said['error'] ?? {}) as { message?: unknown };
  const reason = said['reason'] ?? message;
  if (typeof reason !== 'string' || reason === '') return null;
  // oxlint-disable-next-line no-control-regex
  return reason.slice(0, 300).replaceAll(/[\u0000-\u001f]/g, ' ');
}
