import type { Session } from '../database/database.js';
import { formatAmount, fromTenThousandths, type Amount } from './money.js';

/** A row of sales; a reversal's quantities are negative. */
export interface SaleRow {
  readonly transactionId: string;
  readonly meterId: string;
  readonly tariffId: string;
  readonly month: string;
  /** Ten-thousandths of a unit. */
  readonly units: bigint;
  readonly energyCost: Amount;
  readonly paymentFee: Amount;
  readonly monthlyFee: Amount;
  readonly arrearsPaid: Amount;
  readonly creditBefore: Amount;
  readonly creditAfter: Amount;
  readonly blocks: readonly { readonly price: bigint; readonly units: bigint }[];
  /** The sale that this one takes back. */
  readonly reversesId?: string;
}

export async function saveSale(tx: Session, paymentId: string, sale: SaleRow): Promise<void> {
  await tx.query({
    name: 'save-sale',
    text: `insert into sales (payment_id, transaction_id, meter_id, tariff_id, month, units, energy_cost, payment_fee,
             monthly_fee, arrears_paid, credit_before, credit_after, blocks, reverses_id)
           values ($1::bigint, $2::bigint, $3, $4::bigint, $5::date, $6::numeric, $7::numeric, $8::numeric, $9::numeric,
             $10::numeric, $11::numeric, $12::numeric, $13::jsonb, $14::bigint)`,
    values: [
      paymentId,
      sale.transactionId,
      sale.meterId,
      sale.tariffId,
      sale.month,
      formatAmount(fromTenThousandths(sale.units)),
      formatAmount(sale.energyCost),
      formatAmount(sale.paymentFee),
      formatAmount(sale.monthlyFee),
      formatAmount(sale.arrearsPaid),
      formatAmount(sale.creditBefore),
      formatAmount(sale.creditAfter),
      JSON.stringify(
        sale.blocks.map(({ price, units }) => ({
          price: Number(price) / 10_000,
          units: Number(units) / 10_000,
        })),
      ),
      sale.reversesId ?? null,
    ],
  });
}
