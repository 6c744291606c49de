import type { Session } from '../database/database.js';

/** A version of a plan as it is stored; blocks as [{"from": 0, "price": 25}], both with at most 4 decimals. */
export interface TariffRow {
  readonly id: string;
  readonly plan: string;
  readonly currency: string;
  readonly time_zone: string;
  readonly valid_from: Date;
  readonly payment_fee: string;
  readonly monthly_fee: string;
  readonly arrears_share: string;
  readonly blocks: readonly { readonly from: number; readonly price: number }[];
  readonly created_by: string;
  readonly created_at: Date;
}

const tariffColumns = `id, plan, currency, time_zone, valid_from, payment_fee::text, monthly_fee::text,
  arrears_share::text, blocks, created_by, created_at`;

export interface DefaultTariff {
  /** Text of at most 4 decimals, above 0. */
  readonly pricePerUnit: string;
  readonly currency: string;
  readonly timeZone: string;
}

/**
 * The flat default plan, once: later starts, other instances and other settings change nothing of it.
 * @returns whether it was made now
 */
export async function ensureDefaultTariff(session: Session, preset: DefaultTariff): Promise<boolean> {
  const { rowCount } = await session.query({
    text: `insert into tariffs (plan, currency, time_zone, valid_from, blocks, created_by)
           select 'default', $1, $2, '2000-01-01T00:00:00Z', $3::jsonb, 'start'
            where not exists (select from tariffs where plan = 'default')
           on conflict on constraint tariffs_version_key do nothing`,
    values: [
      preset.currency,
      preset.timeZone,
      JSON.stringify([{ from: 0, price: Number(preset.pricePerUnit) }]),
    ],
  });
  return rowCount === 1;
}

export interface NewTariffRow {
  readonly plan: string;
  readonly currency: string;
  readonly time_zone: string;
  /** RFC 3339 */
  readonly valid_from: string;
  /** Decimal texts. */
  readonly payment_fee: string;
  readonly monthly_fee: string;
  readonly arrears_share: string;
  readonly blocks: TariffRow['blocks'];
}

type Shown = TariffRow & { readonly current: boolean };

const shown = `${tariffColumns}, id is not distinct from (
  select c.id from tariffs c where c.plan = tariffs.plan and c.valid_from <= now() order by c.valid_from desc limit 1
) as current`;

/** Undefined: the plan has a version from this time. */
export async function insertTariff(
  tx: Session,
  row: NewTariffRow,
  caller: string,
): Promise<Shown | undefined> {
  const { rows } = await tx.query<{ id: string }>({
    text: `insert into tariffs (plan, currency, time_zone, valid_from, payment_fee, monthly_fee, arrears_share, blocks,
             created_by)
           values ($1, $2, $3, $4::timestamptz, $5::numeric, $6::numeric, $7::numeric, $8::jsonb, $9)
           on conflict on constraint tariffs_version_key do nothing
           returning id`,
    values: [
      row.plan,
      row.currency,
      row.time_zone,
      row.valid_from,
      row.payment_fee,
      row.monthly_fee,
      row.arrears_share,
      JSON.stringify(row.blocks),
      caller,
    ],
  });
  const id = rows[0]?.id;
  if (id === undefined) return undefined;
  const inserted = await tx.query<Shown>({
    text: `select ${shown} from tariffs where id = $1::bigint`,
    values: [id],
  });
  return inserted.rows[0];
}

/** By plan, the newest version first; null: of all plans. */
export async function listTariffRows(session: Session, plan: string | null): Promise<Shown[]> {
  const { rows } = await session.query<Shown>({
    text: `select ${shown} from tariffs where $1::text is null or plan = $1 order by plan, valid_from desc`,
    values: [plan],
  });
  return rows;
}

/**
 * What a new version has unless it says otherwise; undefined before the first. Nobody else adds one until the end of the
 * transaction, so that there is one first version, and one currency.
 */
export async function lockPresets(tx: Session): Promise<{ currency: string; timeZone: string } | undefined> {
  await tx.query({ text: 'lock table tariffs in share row exclusive mode' });
  const { rows } = await tx.query<{ currency: string; timeZone: string }>({
    text: `select currency, time_zone as "timeZone" from tariffs
            where plan = 'default' order by valid_from desc limit 1`,
  });
  return rows[0];
}
