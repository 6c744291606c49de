import { drawn } from '../seeded.js';

/** What may happen to callbacks on their way, each from 0 (never) to 1 (always). */
export interface Mishaps {
  /** Never arrives. */
  readonly lost: number;
  /** Arrives a second time. */
  readonly doubled: number;
  /** Arrives long after others that were sent later. */
  readonly late: number;
}

/** What a customer does with a prompt: the provider's result code and text. */
export interface Decision {
  readonly code: string;
  readonly text: string;
}

export const paid: Decision = { code: '0', text: 'The service request is processed successfully.' };

/** Why a prompt comes to nothing, by the provider's code. */
export const refusals: Readonly<Record<string, string>> = {
  '1': 'The balance is insufficient for the transaction.',
  '1032': 'Request cancelled by user.',
  '1037': 'DS timeout user cannot be reached.',
  '2001': 'The initiator information is invalid.',
};

/**
 * Phones whose last four digits are a code always end so: 254700001032 cancels, 254700002001 mistypes the PIN,
 * 254700001037 is switched off, 254700000001 has no money. The others refuse at the given rate.
 */
export function decisionOf(seed: number, prompt: string, phone: string, refusing: number): Decision {
  const code = String(Number(phone.slice(-4)));
  const fixed = refusals[code];
  if (fixed !== undefined) return { code, text: fixed };
  if (drawn(seed, prompt, 'refuses') >= refusing) return paid;
  const codes = Object.entries(refusals);
  const [any = '1032', text = ''] = codes[Math.floor(drawn(seed, prompt, 'why') * codes.length)] ?? [];
  return { code: any, text };
}

export interface Journey {
  /** When each copy arrives, in ms from now; none: it is lost. */
  readonly arrivals: readonly number[];
}

/** The way of one callback: the same for the same seed and name. */
export function journeyOf(
  seed: number,
  name: string,
  { lost, doubled, late }: Mishaps,
  delay: { readonly minMs: number; readonly maxMs: number },
): Journey {
  if (drawn(seed, name, 'lost') < lost) return { arrivals: [] };
  const span = delay.maxMs - delay.minMs;
  const usual = delay.minMs + drawn(seed, name, 'delay') * span;
  const first = drawn(seed, name, 'late') < late ? usual + lateMs(delay.maxMs) : usual;
  const again = drawn(seed, name, 'doubled') < doubled;
  return { arrivals: again ? [first, first + drawn(seed, name, 'again') * (span + 50)] : [first] };
}

/** Enough for those sent later to overtake. */
function lateMs(maxMs: number): number {
  return 3 * maxMs + 200;
}
