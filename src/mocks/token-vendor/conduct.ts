import { drawn } from '../seeded.js';

/**
 * What the meter-management system makes of a token. `accept`: takes it, then hands it to the meter; `refuse`: does
 * not take it; `before`: hands it over first, so that the meter's answer overtakes its own; `late`: hands it over when
 * nobody waits any more; `never`: takes it and forgets; `twice`: hands it over two times.
 */
const vendorActs = ['accept', 'refuse', 'before', 'late', 'never', 'twice'] as const;
export type VendorAct = (typeof vendorActs)[number];

export interface VendorConduct {
  readonly act: VendorAct;
  /** HTTP status of its answer. */
  readonly status: number;
}

/** What happens by chance, each from 0 (never) to 1 (always); what is left is accepted. */
export type VendorRates = Readonly<Record<Exclude<VendorAct, 'accept'>, number>>;

const acts = ['refuse', 'before', 'late', 'never', 'twice'] as const;

/** Tokens whose last four digits are one of these, or an HTTP status from 0400 to 0599, always fare so. */
const endings: Readonly<Record<string, VendorAct>> = {
  '0010': 'before',
  '0011': 'late',
  '0012': 'never',
  '0013': 'twice',
};

const refusals = [400, 404, 409, 422, 429, 500, 502, 503] as const;

/** `wish` is the header X-Simulate, `late` or `refuse 503`; it comes first, then the token's end, then the seed. */
export function vendorConductOf(
  seed: number,
  token: string,
  rates: VendorRates,
  wish: string | undefined,
): VendorConduct {
  return wished(wish) ?? ending(token) ?? chance(seed, token, rates);
}

function wished(wish: string | undefined): VendorConduct | undefined {
  const [word = '', status] = (wish ?? '').trim().split(/\s+/);
  const act = vendorActs.find((known) => known === word);
  if (act === undefined) return undefined;
  const wanted = Number(status);
  const isStatus = Number.isInteger(wanted) && wanted >= 400 && wanted <= 599;
  return { act, status: act !== 'refuse' ? 202 : isStatus ? wanted : 422 };
}

function ending(token: string): VendorConduct | undefined {
  const end = token.slice(-4);
  const act = endings[end];
  if (act !== undefined) return { act, status: 202 };
  return /^0[45]\d\d$/.test(end) ? { act: 'refuse', status: Number(end) } : undefined;
}

function chance(seed: number, token: string, rates: VendorRates): VendorConduct {
  let draw = drawn(seed, token, 'vendor');
  for (const act of acts) {
    if (draw >= rates[act]) {
      draw -= rates[act];
      continue;
    }
    const status = refusals[Math.floor(drawn(seed, token, 'why') * refusals.length)] ?? 500;
    return { act, status: act === 'refuse' ? status : 202 };
  }
  return { act: 'accept', status: 202 };
}
