import type { Database } from '../database/database.js';
import { audit, type Caller } from '../devices/audit.js';
import { DomainError } from '../errors.js';
import { lockMeters, systemAccount } from './accounts.js';
import { post } from './entries.js';
import { findMeter } from './find-meter.js';
import { formatAmount, parseMoney, type Amount } from './money.js';

export interface Charged {
  readonly transactionId: string;
  readonly meterId: string;
  readonly amount: Amount;
  readonly currency: string;
  /** What the customer owes now. */
  readonly arrears: Amount;
}

/**
 * Lets a customer owe something (a meter, a connection, tampering): later sales pay it off by the tariff's share.
 * @param request amount above 0 with at most 2 decimals; memo says what for
 * @throws DomainError SCHEMA_INVALID, METER_UNKNOWN
 */
export async function charge(
  database: Pick<Database, 'transaction'>,
  request: { readonly meterNumber: string; readonly amount: number | string; readonly memo: string },
  caller: Caller,
): Promise<Charged> {
  const amount = parseMoney(request.amount);
  if (amount === undefined) throw invalid('amount', 'must be money above 0 with at most 2 decimals');
  const memo = request.memo.replaceAll('\0', '').trim();
  if (memo === '' || memo.length > 200) throw invalid('memo', 'must say what for, in 1 to 200 characters');
  return database.transaction(async (tx) => {
    const meter = await findMeter(tx, request.meterNumber);
    if (meter === undefined) throw new DomainError('METER_UNKNOWN', 'No meter has this number.');
    const { meterId } = meter;
    const accounts = (await lockMeters(tx, [meterId])).get(meterId);
    if (accounts === undefined) throw new Error(`The accounts of ${meterId} could not be made.`);
    const { arrears, currency } = accounts;
    const transactionId = await post(tx, {
      kind: 'charge',
      memo,
      caller: caller.name,
      entries: [
        { accountId: arrears.id, amount: -amount },
        { accountId: await systemAccount(tx, 'revenue', currency), amount },
      ],
    });
    await audit(tx, caller, {
      action: 'meter.charged',
      subject: meterId,
      details: { transaction_id: transactionId, amount: formatAmount(amount), currency, memo },
    });
    return { transactionId, meterId, amount, currency, arrears: amount - arrears.balance };
  });
}

function invalid(field: string, message: string): DomainError {
  return new DomainError('SCHEMA_INVALID', `${field} ${message}.`, {
    details: [{ path: `/${field}`, message }],
  });
}
