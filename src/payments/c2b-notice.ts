import { DomainError } from '../errors.js';
import type { Notice } from './notice.js';
import { amountOf, isFields, textOf, timeOf } from './provider-values.js';
import { digest } from './stk-result.js';

/**
 * What a customer pays, or wants to pay, to our short code: `{TransID, TransTime, TransAmount, BusinessShortCode,
 * BillRefNumber, MSISDN, …}`, all of them texts as a rule. BillRefNumber is the meter number, in the case it was written.
 * @throws DomainError SCHEMA_INVALID when it is no such thing at all
 */
export function parseC2bNotice(body: unknown): Notice {
  const said = isFields(body) ? body : {};
  const receipt = textOf(said['TransID'], 50);
  if (receipt === null) {
    const path = '/TransID';
    throw new DomainError('SCHEMA_INVALID', `This is no payment: ${path} is missing.`, {
      details: [{ path, message: 'must be a text' }],
    });
  }
  const amount = amountOf(said['TransAmount']);
  return {
    channel: 'c2b',
    paid: true,
    receipt,
    amount,
    short_code: textOf(said['BusinessShortCode'], 20),
    meter_number: textOf(said['BillRefNumber'], 100),
    phone: textOf(said['MSISDN'], 100),
    paid_at: timeOf(said['TransTime']),
    checkout_request_id: null,
    result_code: null,
    result_desc: null,
    flaw: amount === null ? 'AMOUNT_INVALID' : null,
    sha256: digest('c2b', body),
    details: { body },
  };
}
