import type { Session } from '../database/database.js';

/** A reading with what decides whether it can be minted. */
export interface MintableReading {
  /** A whole number as text. */
  readonly id: string;
  readonly meter_id: string;
  /** RFC 3339 to the microsecond: the half of the reading's key that a JavaScript date would round. */
  readonly reading_timestamp: string;
  readonly user_id: string | null;
  /** The reading's own, else its owner's of now. */
  readonly wallet_address: string | null;
  readonly minted: boolean;
  readonly mint_tx_signature: string | null;
  readonly mock: boolean;
}

const dayMs = 86_400_000;
/** A reading is at most a week old when it comes, and most are asked for soon. */
const firstDays = 8;
const pieceDays = 31;
const pieces = 13;

/**
 * A reading by its id, from the newest days back. Only a summary of each day (brin) knows ids, as an index would cost
 * every insert; so one statement looks at a month at the most: it locks each partition that it looks at, and a year of
 * them at once, several times, would not fit into PostgreSQL's table of locks.
 */
export async function findReading(
  session: Session,
  id: string,
  now: number,
): Promise<MintableReading | undefined> {
  let end: Date | null = null;
  for (let piece = 0; piece <= pieces + 1; piece += 1) {
    const days = firstDays + piece * pieceDays;
    const start: Date | null = piece > pieces ? null : new Date(now - days * dayMs);
    const found = await findWithin(session, id, start, end);
    if (found !== undefined) return found;
    end = start;
  }
  return undefined;
}

/** Not prepared: a plan for these very days leaves the other partitions alone. */
async function findWithin(
  session: Session,
  id: string,
  start: Date | null,
  end: Date | null,
): Promise<MintableReading | undefined> {
  const { rows } = await session.query<MintableReading>({
    text: `select r.id::text, r.meter_id,
                  to_char(r.reading_timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as reading_timestamp,
                  r.user_id, coalesce(r.wallet_address, u.wallet_address) as wallet_address,
                  r.minted, r.mint_tx_signature,
                  exists (select from mock_meters k where k.meter_id = r.meter_id) as mock
             from meter_readings r left join users u on u.id = r.user_id
            where r.id = $1 and r.reading_timestamp >= $2 and r.reading_timestamp < $3`,
    values: [id, start?.toISOString() ?? '-infinity', end?.toISOString() ?? 'infinity'],
  });
  return rows[0];
}

/** In the transaction that ends its request. A reading that was dropped for its age stays dropped. */
export async function markMinted(
  tx: Session,
  reading: { readonly meter_id: string; readonly reading_timestamp: string },
  txSignature: string,
): Promise<void> {
  await tx.query({
    text: `update meter_readings set minted = true, mint_tx_signature = $3
            where meter_id = $1 and reading_timestamp = $2 and not minted`,
    values: [reading.meter_id, reading.reading_timestamp, txSignature],
  });
}
