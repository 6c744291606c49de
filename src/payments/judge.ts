import type { Facts, Known, Prompt } from './facts.js';
import type { Notice } from './notice.js';
import type { Reason } from './payment.js';
import { mayBePhone } from './phone.js';

/** What is to be done about a notice; nothing has been done yet. */
export type Verdict =
  /** Money for a meter, or for none that we know. */
  | { readonly outcome: 'accepted'; readonly meter_id: string; readonly prompt: Prompt | undefined }
  | { readonly outcome: 'suspense'; readonly reason: Reason }
  | { readonly outcome: 'failed'; readonly reason: Reason | null; readonly prompt: Prompt | undefined }
  | { readonly outcome: 'disputed'; readonly reason: Reason; readonly prompt: Prompt | undefined }
  /** Known before. `prompt`: one that this closes, or one without a receipt that is given this one. */
  | {
      readonly outcome: 'duplicate';
      readonly known: Known | undefined;
      readonly prompt: Prompt | undefined;
      readonly receipt: string | null;
    }
  /** Its prompt may be on its way to us, or about to be credited: to be judged again in a moment. */
  | { readonly outcome: 'early' };

export interface Rules {
  /** Money for another one credits nothing; null: any. */
  readonly shortCode: string | null;
}

/** [P-1], [P-3]: pure, so that every case is a row of a table. */
export function judge(notice: Notice, facts: Facts, rules: Rules): Verdict {
  if (notice.channel === 'c2b') return judgeBill(notice, facts, rules);
  const prompt = facts.promptOf(notice);
  if (prompt === undefined && facts.isPromptUnderWay) return { outcome: 'early' };
  return notice.paid ? judgePaidPrompt(notice, prompt, facts) : judgeFailedPrompt(notice, prompt);
}

function judgeBill(notice: Notice, facts: Facts, rules: Rules): Verdict {
  const { receipt, amount, short_code } = notice;
  if (rules.shortCode !== null && short_code !== rules.shortCode) return disputed('SHORT_CODE');
  if (notice.flaw !== null || receipt === null || amount === null)
    return disputed(notice.flaw ?? 'RECEIPT_MISSING');
  const known = facts.knownBy(receipt);
  if (known !== undefined) return sameMoney(known, amount);
  const meter_id = facts.meterIdOf(notice);
  if (meter_id === undefined) return { outcome: 'suspense', reason: 'METER_UNKNOWN' };
  const asked = facts
    .promptsOfMeter(meter_id)
    .find((prompt) => isCreditedByAsking(prompt, facts) && isOf(prompt, notice));
  if (asked !== undefined)
    return { outcome: 'duplicate', known: facts.knownAs(asked.payment_id), prompt: asked, receipt };
  return { outcome: 'accepted', meter_id, prompt: undefined };
}

function judgePaidPrompt(notice: Notice, prompt: Prompt | undefined, facts: Facts): Verdict {
  if (notice.flaw !== null) return disputed(notice.flaw, prompt);
  if (prompt === undefined) return disputed('PROMPT_UNKNOWN');
  const amount = notice.amount ?? prompt.amount;
  const known = notice.receipt === null ? undefined : facts.knownBy(notice.receipt);
  if (prompt.state === 'succeeded') return judgeAgain(notice, prompt, known, amount, facts);
  if (amount !== prompt.amount)
    return known === undefined ? disputed('AMOUNT_MISMATCH', prompt) : sameMoney(known, amount);
  if (prompt.state === 'failed') return disputed('PROMPT_CLOSED', prompt);
  if (!mayBePhone(prompt.phone_number, notice.phone)) return disputed('PHONE_MISMATCH', prompt);
  // The confirmation of the bill was faster.
  const bill =
    known ??
    (notice.channel === 'query' ? facts.billsOf(prompt).find((one) => isOf(prompt, one)) : undefined);
  if (bill !== undefined && bill.amount !== amount) return disputed('RECEIPT_MISMATCH', prompt);
  if (bill !== undefined) return { outcome: 'duplicate', known: bill, prompt, receipt: null };
  return { outcome: 'accepted', meter_id: prompt.meter_id, prompt };
}

/** The prompt has its money already. */
function judgeAgain(
  notice: Notice,
  prompt: Prompt,
  known: Known | undefined,
  amount: string,
  facts: Facts,
): Verdict {
  if (known !== undefined) {
    if (known.id === prompt.payment_id) return sameMoney(known, amount);
    return disputed(isCreditedByAsking(prompt, facts) ? 'PAID_TWICE' : 'PROMPT_CLOSED', prompt);
  }
  const credited = facts.knownAs(prompt.payment_id);
  if (notice.channel === 'query') return knownBefore(credited);
  if (!isCreditedByAsking(prompt, facts)) return disputed('PROMPT_CLOSED', prompt);
  if (amount !== prompt.amount) return disputed('AMOUNT_MISMATCH', prompt);
  return { outcome: 'duplicate', known: credited, prompt, receipt: notice.receipt };
}

/** A late failure overturns nothing; a second one is no news. */
function judgeFailedPrompt({ channel }: Notice, prompt: Prompt | undefined): Verdict {
  if (prompt === undefined) return { outcome: 'failed', reason: 'PROMPT_UNKNOWN', prompt };
  if (prompt.state === 'succeeded' && channel !== 'query') return disputed('PROMPT_CLOSED', prompt);
  if (prompt.state === 'failed' || prompt.state === 'succeeded') return knownBefore(undefined);
  return { outcome: 'failed', reason: null, prompt };
}

function sameMoney(known: Known, amount: string): Verdict {
  if (known.amount !== amount) return disputed('RECEIPT_MISMATCH');
  return knownBefore(known);
}

function knownBefore(known: Known | undefined): Verdict {
  return { outcome: 'duplicate', known, prompt: undefined, receipt: null };
}

function disputed(reason: Reason, prompt?: Prompt): Verdict {
  return { outcome: 'disputed', reason, prompt };
}

/** Credited without a receipt so far. */
function isCreditedByAsking(prompt: Prompt, facts: Facts): boolean {
  const isOfQuery = facts.knownAs(prompt.payment_id)?.channel === 'query';
  return prompt.state === 'succeeded' && prompt.receipt === null && isOfQuery;
}

const beforeMs = 2 * 60_000;
const afterMs = 10 * 60_000;

/** Whether a bill's confirmation may be the money of a prompt: amount, phone as far as it can be seen, time. */
export function isOf(
  prompt: Prompt,
  bill: { readonly amount: string | null; readonly phone: string | null; readonly paid_at: number | null },
): boolean {
  const requested = prompt.requested_at.getTime();
  const paid = bill.paid_at ?? requested;
  const isThen = paid > requested - beforeMs && paid < requested + afterMs;
  return isThen && bill.amount === prompt.amount && mayBePhone(prompt.phone_number, bill.phone);
}
