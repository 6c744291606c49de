import type { Database } from '../database/database.js';
import { isDomainError } from '../errors.js';
import { findMeter } from '../ledger/find-meter.js';
import { parseC2bNotice } from './c2b-notice.js';
import type { ProviderAnswer } from './intake.js';
import type { Rules } from './judge.js';
import type { Notice } from './notice.js';

const rejected = 'Rejected';

/**
 * [P-4]: whether a customer may pay this bill, asked by the provider before the money moves. C2B00012: no such meter,
 * C2B00013: no such amount, C2B00016: anything else.
 */
export async function validateBill(database: Database, body: unknown, rules: Rules): Promise<ProviderAnswer> {
  const notice = noticeIn(body);
  if (notice === undefined) return { ResultCode: 'C2B00016', ResultDesc: rejected };
  if (rules.shortCode !== null && notice.short_code !== rules.shortCode)
    return { ResultCode: 'C2B00016', ResultDesc: rejected };
  if (notice.amount === null) return { ResultCode: 'C2B00013', ResultDesc: rejected };
  const meter = await findMeter(database, notice.meter_number ?? '');
  if (meter === undefined) return { ResultCode: 'C2B00012', ResultDesc: rejected };
  return { ResultCode: '0', ResultDesc: 'Accepted' };
}

function noticeIn(body: unknown): Notice | undefined {
  try {
    return parseC2bNotice(body);
  } catch (error) {
    if (isDomainError(error)) return undefined;
    throw error;
  }
}
