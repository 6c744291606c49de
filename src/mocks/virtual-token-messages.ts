import { kwh } from './prepaid-messages.js';
import type { TokenVerdict } from './virtual-token.js';

/** [M-7] down, as the vendor simulator writes it. */
export interface TokenCommand {
  readonly token: string;
  /** By which an answer can say what it answers; null: the vendor gives none. */
  readonly messageId: string | null;
}

/** How a meter writes its answers [T-3]: those with a DRN in records of name, value and time, the others as an object. */
export type AnswerForm = 'records' | 'object';

const messageIdMax = 100;

export function tokenCommandTopic(name: string): string {
  return `meters/${name}/command/token`;
}

export function tokenResponseTopic(name: string): string {
  return `meters/${name}/token/response`;
}

export function tokenCommandText({ token, messageId }: TokenCommand): string {
  return JSON.stringify({ credit_token: token, ...(messageId === null ? {} : { message_id: messageId }) });
}

/** An object with `credit_token`, or the digits alone. A text is the reason why it is no such command. */
export function parseTokenCommand(text: string): TokenCommand | string {
  if (/^\d+$/.test(text)) return { token: text, messageId: null };
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  if (typeof parsed !== 'object' || parsed === null) return 'it is not an object';
  const { credit_token: token, message_id: id } = parsed as { credit_token?: unknown; message_id?: unknown };
  if (typeof token !== 'string') return 'credit_token is not a string';
  const isId = typeof id === 'string' && id !== '' && id.length <= messageIdMax;
  return { token, messageId: isId ? id : null };
}

/** [M-7] up. Never with the token: answers are kept, and a token is money. `now` in Unix ms. */
export function tokenAnswerText(
  form: AnswerForm,
  meterNumber: string,
  { status, units, message }: TokenVerdict,
  messageId: string | null,
  now: number,
): string {
  if (form === 'object') {
    const id = messageId === null ? {} : { message_id: messageId };
    return JSON.stringify({ meter_number: meterNumber, status, injected_units: kwh(units), message, ...id });
  }
  const records: { n: string; v: string | number; t: number }[] = [
    { n: '1P-Energy-Meter', v: meterNumber, t: Math.floor(now / 1000) },
    { n: 'injected-units', v: kwh(units), t: 0 },
    { n: 'credit-token-ack', v: status === 'success' ? 1 : 0, t: 0 },
  ];
  if (status !== 'success')
    records.push({ n: 'status', v: status, t: 0 }, { n: 'message', v: message, t: 0 });
  // Without it nobody could tell an answer that comes late from that to the next token.
  if (messageId !== null) records.push({ n: 'message-id', v: messageId, t: 0 });
  return JSON.stringify(records);
}
