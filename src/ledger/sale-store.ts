import type { Session } from '../database/database.js';
import { formatAmount, fromTenThousandths, parseAmount, type Amount } from './money.js';

/** A row of sales; a reversal's quantities are negative. */
export interface SaleRow {
  readonly paymentId: string;
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

/** A sale that is kept. */
export interface KeptSale extends SaleRow {
  readonly id: string;
}

/** The sale that one of these ledger transactions entered, if one did: there is at most one of a payment. */
export async function findSale(
  tx: Session,
  transactionIds: readonly string[],
): Promise<KeptSale | undefined> {
  const { rows } = await tx.query<{
    id: string;
    payment_id: string;
    transaction_id: string;
    meter_id: string;
    tariff_id: string;
    month: string;
    units: string;
    energy_cost: string;
    payment_fee: string;
    monthly_fee: string;
    arrears_paid: string;
    credit_before: string;
    credit_after: string;
    blocks: { price: number; units: number }[];
  }>({
    text: `select id, payment_id, transaction_id, meter_id, tariff_id, month::text, units::text, energy_cost::text, payment_fee::text,
                  monthly_fee::text, arrears_paid::text, credit_before::text, credit_after::text, blocks
             from sales where transaction_id = any($1::bigint[])`,
    values: [transactionIds],
  });
  return rows.map((row) => ({
    id: row.id,
    paymentId: row.payment_id,
    transactionId: row.transaction_id,
    meterId: row.meter_id,
    tariffId: row.tariff_id,
    month: row.month,
    units: tenThousandths(row.units),
    energyCost: parseAmount(row.energy_cost),
    paymentFee: parseAmount(row.payment_fee),
    monthlyFee: parseAmount(row.monthly_fee),
    arrearsPaid: parseAmount(row.arrears_paid),
    creditBefore: parseAmount(row.credit_before),
    creditAfter: parseAmount(row.credit_after),
    blocks: row.blocks.map(({ price, units }) => ({
      price: tenThousandths(String(price)),
      units: tenThousandths(String(units)),
    })),
  }))[0];
}

function tenThousandths(decimal: string): bigint {
  return parseAmount(decimal) / 10_000n;
}

export async function saveSale(tx: Session, sale: SaleRow): Promise<void> {
  await saveSales(tx, [sale]);
}

export async function saveSales(tx: Session, sales: readonly SaleRow[]): Promise<void> {
  if (sales.length === 0) return;
  const amounts = (part: (sale: SaleRow) => Amount) => sales.map((sale) => formatAmount(part(sale)));
  await tx.query({
    name: 'save-sales',
    text: `insert into sales (payment_id, transaction_id, meter_id, tariff_id, month, units, energy_cost, payment_fee,
             monthly_fee, arrears_paid, credit_before, credit_after, blocks, reverses_id)
           select payment_id, transaction_id, meter_id, tariff_id, month, units, energy_cost, payment_fee, monthly_fee,
                  arrears_paid, credit_before, credit_after, blocks::jsonb, reverses_id
             from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::date[], $6::numeric[], $7::numeric[],
                         $8::numeric[], $9::numeric[], $10::numeric[], $11::numeric[], $12::numeric[], $13::text[],
                         $14::bigint[])
               with ordinality as s (payment_id, transaction_id, meter_id, tariff_id, month, units, energy_cost,
                                     payment_fee, monthly_fee, arrears_paid, credit_before, credit_after, blocks,
                                     reverses_id, n)
            order by n`,
    values: [
      sales.map(({ paymentId }) => paymentId),
      sales.map(({ transactionId }) => transactionId),
      sales.map(({ meterId }) => meterId),
      sales.map(({ tariffId }) => tariffId),
      sales.map(({ month }) => month),
      amounts(({ units }) => fromTenThousandths(units)),
      amounts(({ energyCost }) => energyCost),
      amounts(({ paymentFee }) => paymentFee),
      amounts(({ monthlyFee }) => monthlyFee),
      amounts(({ arrearsPaid }) => arrearsPaid),
      amounts(({ creditBefore }) => creditBefore),
      amounts(({ creditAfter }) => creditAfter),
      sales.map(({ blocks }) => JSON.stringify(blocks.map(shownBlock))),
      sales.map(({ reversesId }) => reversesId ?? null),
    ],
  });
}

function shownBlock({ price, units }: SaleRow['blocks'][number]): { price: number; units: number } {
  return { price: Number(price) / 10_000, units: Number(units) / 10_000 };
}
