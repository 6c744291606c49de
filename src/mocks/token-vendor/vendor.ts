import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Publication } from '../../mqtt/link.js';
import { drawn } from '../seeded.js';
import { tokenCommandText, tokenCommandTopic } from '../virtual-token-messages.js';
import { vendorConductOf, type VendorAct, type VendorRates } from './conduct.js';

export interface VendorSettings {
  /** Of what happens by chance. */
  readonly seed: number;
  readonly rates: VendorRates;
  /** How long a token is on its way to the meter, in ms. */
  readonly delay: { readonly minMs: number; readonly maxMs: number };
  /** How long one is that comes late. */
  readonly lateMs: number;
  /** How long the answer is held back that the meter's own shall overtake. */
  readonly holdMs: number;
}

export interface TokenOrder {
  readonly meter_number: string;
  readonly credit_token: string;
}

/** `status` and `body` of the HTTP answer. */
export interface VendorAnswer {
  readonly act: VendorAct;
  readonly status: number;
  readonly body: object;
}

/** A token on its way to a meter, and how that ended; never the token itself. */
export interface Handover {
  readonly meter_number: string;
  readonly token_last4: string;
  readonly message_id: string;
  readonly act: VendorAct;
  /** Null: the broker has it. */
  readonly problem: string | null;
}

/** Publishes as the back end; rejects when the broker does not take it. */
export type Publish = (publication: Publication) => Promise<void>;

export interface TokenVendor {
  /** Resolves with the answer that the caller gets; the token may be on its way before or after. */
  order(order: unknown, wish?: string): Promise<VendorAnswer>;
  /** Tokens on their way. */
  readonly open: number;
  /** Those are given up. */
  close(): Promise<void>;
}

const openMax = 10_000;

/** A meter-management system as we know it: it takes a token, says 202, and forwards it to the meter sooner or later. */
export function createTokenVendor(
  settings: VendorSettings,
  publish: Publish,
  onHandover: (handover: Handover) => void = () => undefined,
): TokenVendor {
  const closing = new AbortController();
  const underWay = new Set<Promise<void>>();
  let count = 0;

  async function order(said: unknown, wish?: string): Promise<VendorAnswer> {
    const wanted = readOrder(said);
    if (wanted === undefined)
      return refused(400, 'meter_number and credit_token must be strings, the token of digits');
    if (underWay.size >= openMax) return refused(503, 'Too many tokens are on their way');
    const { act, status } = vendorConductOf(settings.seed, wanted.credit_token, settings.rates, wish);
    if (act === 'refuse') return refused(status, 'Refused by the simulated meter-management system');
    const message_id = randomUUID();
    count += 1;
    const { minMs, maxMs } = settings.delay;
    const usual = minMs + drawn(settings.seed, wanted.meter_number, `way ${count}`) * (maxMs - minMs);
    if (act !== 'never') hand(wanted, act, message_id, { before: 0, late: settings.lateMs }, usual);
    // Another message to the meter, which has had this token by then.
    if (act === 'twice') hand(wanted, act, randomUUID(), {}, usual * 2);
    if (act === 'before')
      await delay(settings.holdMs, undefined, { signal: closing.signal }).catch(() => undefined);
    return { act, status, body: { status: 'accepted', message_id } };
  }

  function hand(
    wanted: TokenOrder,
    act: VendorAct,
    messageId: string,
    special: Partial<Record<VendorAct, number>>,
    usualMs: number,
  ): void {
    const work: Promise<void> = deliver(wanted, act, messageId, special[act] ?? usualMs).finally(() =>
      underWay.delete(work),
    );
    underWay.add(work);
  }

  async function deliver(
    { meter_number, credit_token }: TokenOrder,
    act: VendorAct,
    message_id: string,
    afterMs: number,
  ): Promise<void> {
    let problem: string | null = null;
    try {
      await delay(afterMs, undefined, { signal: closing.signal, ref: false });
      const payload = tokenCommandText({ token: credit_token, messageId: message_id });
      await publish({ topic: tokenCommandTopic(meter_number), payload, qos: 1, retain: false });
    } catch (error) {
      if (closing.signal.aborted) return;
      // The order was accepted: a vendor has nobody left to tell.
      problem = error instanceof Error ? error.message : String(error);
    }
    onHandover({ meter_number, token_last4: credit_token.slice(-4), message_id, act, problem });
  }

  return {
    order,
    get open() {
      return underWay.size;
    },
    async close() {
      closing.abort();
      await Promise.all(underWay);
    },
  };
}

/** A topic level is not more, so that a number leads to one meter's topic and no other. */
function readOrder(said: unknown): TokenOrder | undefined {
  if (typeof said !== 'object' || said === null) return undefined;
  const { meter_number, credit_token } = said as { meter_number?: unknown; credit_token?: unknown };
  if (typeof meter_number !== 'string' || !/^[A-Za-z0-9_-]{1,50}$/.test(meter_number)) return undefined;
  if (typeof credit_token !== 'string' || !/^\d{1,40}$/.test(credit_token)) return undefined;
  return { meter_number, credit_token };
}

function refused(status: number, message: string): VendorAnswer {
  return { act: 'refuse', status, body: { status: 'refused', message } };
}
