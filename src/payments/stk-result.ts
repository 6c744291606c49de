import { createHash } from 'node:crypto';
import { DomainError } from '../errors.js';
import type { Notice } from './notice.js';
import { amountOf, isFields, textOf, timeOf } from './provider-values.js';

/**
 * The result of a prompt: `{Body: {stkCallback: {CheckoutRequestID, ResultCode, ResultDesc, CallbackMetadata?}}}`. Items
 * of the metadata are read by Name: their number and order vary, and a missing Value is legal. A failure has none.
 * @throws DomainError SCHEMA_INVALID when it is no such thing at all
 */
export function parseStkResult(body: unknown): Notice {
  const callback = isFields(body) && isFields(body['Body']) ? body['Body']['stkCallback'] : undefined;
  const said = isFields(callback) ? callback : {};
  const checkout_request_id = textOf(said['CheckoutRequestID'], 100);
  const result_code = textOf(said['ResultCode'], 20);
  if (checkout_request_id === null || result_code === null) throw notAResult(checkout_request_id);
  const items = itemsOf(said['CallbackMetadata']);
  const paid = result_code === '0';
  const receipt = textOf(items.get('MpesaReceiptNumber'), 50);
  const amount = amountOf(items.get('Amount'));
  return {
    channel: 'stk',
    paid,
    receipt,
    amount,
    short_code: null,
    meter_number: null,
    phone: textOf(items.get('PhoneNumber'), 100),
    paid_at: timeOf(items.get('TransactionDate')),
    checkout_request_id,
    result_code,
    result_desc: textOf(said['ResultDesc'], 500),
    flaw: !paid ? null : receipt === null ? 'RECEIPT_MISSING' : amount === null ? 'AMOUNT_INVALID' : null,
    sha256: digest('stk', body),
    details: { body },
  };
}

/** What identifies a callback as the one that came before. */
export function digest(channel: string, body: unknown): string {
  return createHash('sha256')
    .update(`${channel}\n${JSON.stringify(body)}`)
    .digest('hex');
}

function itemsOf(metadata: unknown): ReadonlyMap<unknown, unknown> {
  const list = isFields(metadata) ? metadata['Item'] : undefined;
  const items = Array.isArray(list) ? list : [list];
  return new Map(items.filter(isFields).map((item) => [item['Name'], item['Value']]));
}

function notAResult(checkout: string | null): DomainError {
  const path = `/Body/stkCallback/${checkout === null ? 'CheckoutRequestID' : 'ResultCode'}`;
  return new DomainError('SCHEMA_INVALID', `This is no result of a payment prompt: ${path} is missing.`, {
    details: [{ path, message: 'must be a text or a number' }],
  });
}
