import { carriesConsumption, replayConsumption } from '../balances/consumption-replay.js';
import { deliveries } from '../broker/deliveries.js';
import { changeOf } from '../cache/change.js';
import { changesOf } from '../cache/changes.js';
import type { Database, Session } from '../database/database.js';
import { audit, type Caller } from '../devices/audit.js';
import { DomainError } from '../errors.js';
import { insertMessages } from '../messages/message-store.js';
import { metrics } from '../operation/metrics.js';
import { inPartitions, isDataError } from './commit.js';
import { createPartitions } from './partitions.js';
import type { ReplayOutcome } from './quarantined-message.js';
import { insertRejections } from './quarantine-store.js';
import { carriesReadings, createReplayJudge, type Judgement, type ReplayRules } from './replay-judge.js';
import type { Corrections } from './replay-request.js';
import { findReplayRow, findSender, lockForReplay, markReplayed, type ReplayRow } from './replay-store.js';
import { defaultLimits } from './rules.js';
import { countOutcomes, storeWithin, type StoreResult } from './writer.js';

/** What became of a message that was replayed. */
export interface Replayed {
  readonly id: number;
  /** `stored` when anything of it was, else `duplicate` when anything was known, else `refused`. */
  readonly outcome: ReplayOutcome;
  readonly replayed_at: string;
  /** Readings; or the one message that carried none. */
  readonly stored: number;
  readonly duplicate: number;
  readonly refused: number;
  /** Why the first of the refused ones was; null when none was. */
  readonly code: string | null;
  readonly reason: string | null;
}

export interface ReplayOptions extends ReplayRules {
  readonly signal?: AbortSignal;
}

export type Replay = (id: string, corrections: Corrections, caller: Caller) => Promise<Replayed>;

/**
 * Takes one quarantined message through the rules, the writer and the commit again. One transaction: the readings, the
 * row's outcome and the audit line, so that whoever is killed in the middle leaves either all of it or nothing.
 * Of a message with several readings, those that are refused become rows of their own once others are stored.
 * @throws DomainError MESSAGE_UNKNOWN, MESSAGE_REPLAYED, SCHEMA_INVALID for a correction that does not fit,
 * DATABASE_UNAVAILABLE: then ask again, since the outcome may have been committed.
 */
export function createReplay(database: Database, options: ReplayOptions = {}): Replay {
  const { signal = new AbortController().signal } = options;
  const judge = createReplayJudge(options);
  const spacingSeconds = options.limits?.spacingSeconds ?? defaultLimits.spacingSeconds;
  const readingPartitions = createPartitions(database, 'meter_readings');
  const messagePartitions = createPartitions(database, 'device_messages');

  return async (id, corrections, caller) => {
    const found = await findReplayRow(database, id);
    if (found === null) throw unknownMessage(id);
    const row = await withSender(database, found);
    const settle = (outcome: Outcome) => async (tx: Session) => {
      await claim(tx, id);
      return record(tx, row, await outcome(tx), corrections, caller);
    };
    const { replayed, counted } = await replayWhole(row, corrections, settle);
    if (counted !== null) countOutcomes(counted);
    metrics.replays.inc({ outcome: replayed.outcome });
    return replayed;
  };

  function replayWhole(row: ReplayRow, corrections: Corrections, settle: Settle): Promise<Settled> {
    // Over HTTP the reading itself says which meter it is of; a message of a device is from somebody or nobody.
    if (row.topic !== '' && row.meter_id === null) {
      const refusal = { code: 'METER_UNKNOWN', reason: 'The topic still names no registered device.' };
      return database.transaction(settle(() => Promise.resolve(refusedAll(row, refusal))));
    }
    if (carriesReadings(row)) return replayReadings(row, corrections, settle);
    return carriesConsumption(row)
      ? replayReport(row, corrections, settle)
      : replayMessage(row, corrections, settle);
  }

  /** A prepaid meter's: into the ledger, where it is deducted once. */
  function replayReport(row: ReplayRow, corrections: Corrections, settle: Settle): Promise<Settled> {
    if (corrections.ageMaxDays !== null)
      throw new DomainError(
        'SCHEMA_INVALID',
        `The message ${row.id} carries no reading whose age is limited.`,
      );
    const { topic, qos, payload, device_id, meter_id } = row;
    const message = {
      device_id: device_id ?? '',
      meter_id: meter_id ?? '',
      topic,
      qos,
      payload,
      received_at: row.received_at.getTime(),
    };
    return database.transaction(
      settle(async (tx) => {
        const replayed = await replayConsumption(tx, message, corrections);
        if (replayed.outcome === 'refused') return refusedAll(row, replayed.rejection);
        const isApplied = replayed.outcome === 'applied';
        return { judgement: nothing, result: { stored: isApplied ? 1 : 0, duplicate: isApplied ? 0 : 1 } };
      }),
    );
  }

  async function replayReadings(row: ReplayRow, corrections: Corrections, settle: Settle): Promise<Settled> {
    const judgement = await judge(database, row, corrections, signal);
    const times = judgement.valid.map(({ time }) => time);
    try {
      return await inPartitions(readingPartitions, times, () =>
        database.transaction(
          settle(async (tx) => ({
            judgement,
            result: await storeWithin(tx, judgement.valid, spacingSeconds),
          })),
        ),
      );
    } catch (error) {
      // A value that the database cannot take stays refused, like in the writer.
      if (!isDataError(error)) throw error;
      const reason = `The database does not take it: ${error instanceof Error ? error.message : String(error)}.`;
      const refusal = { code: 'SCHEMA_INVALID', reason };
      return database.transaction(settle(() => Promise.resolve(refusedAll(row, refusal))));
    } finally {
      // Also when nobody knows whether it was committed.
      if (judgement.valid.length > 0) changesOf(database).committed(changeOf(judgement.valid));
    }
  }

  async function replayMessage(row: ReplayRow, corrections: Corrections, settle: Settle): Promise<Settled> {
    if (corrections.time !== null || corrections.offsetMs !== 0 || corrections.ageMaxDays !== null)
      throw new DomainError('SCHEMA_INVALID', `The message ${row.id} carries no reading to correct.`);
    const { topic, qos, payload } = row;
    const received_at = row.received_at.getTime();
    const sender = { device_id: row.device_id ?? '', meter_id: row.meter_id ?? '' };
    return inPartitions(messagePartitions, [received_at], () =>
      database.transaction(
        settle(async (tx) => {
          await insertMessages(tx, [{ ...sender, topic, qos, payload, received_at }]);
          return { judgement: nothing, result: { stored: 1, duplicate: 0 } };
        }),
      ),
    );
  }
}

type Outcome = (tx: Session) => Promise<{
  readonly judgement: Judgement;
  /** Readings, or how the one message that carried none counts. */
  readonly result: StoreResult | { readonly stored: 0 | 1; readonly duplicate: 0 | 1 };
}>;
type Settle = (outcome: Outcome) => (tx: Session) => Promise<Settled>;

interface Settled {
  readonly replayed: Replayed;
  /** Readings that the metrics of the writer have yet to count. */
  readonly counted: StoreResult | null;
}

const nothing: Judgement = { valid: [], rejected: [] };

async function claim(tx: Session, id: string): Promise<void> {
  const before = await lockForReplay(tx, id);
  if (before === undefined) throw unknownMessage(id);
  if (before === null || before === 'refused') return;
  throw new DomainError(
    'MESSAGE_REPLAYED',
    `The quarantined message ${id} was replayed before, with the outcome ${before}.`,
  );
}

async function record(
  tx: Session,
  row: ReplayRow,
  { judgement, result }: Awaited<ReturnType<Outcome>>,
  corrections: Corrections,
  caller: Caller,
): Promise<Settled> {
  const counted = 'rejected' in result ? result : null;
  const rejected = [...judgement.rejected, ...(counted?.rejected ?? [])];
  const { stored, duplicate } =
    'rejected' in result ? { stored: result.stored.length, duplicate: result.duplicate.length } : result;
  const outcome = stored > 0 ? 'stored' : duplicate > 0 ? 'duplicate' : 'refused';
  const [first = null] = rejected;
  // What is left of a message that is settled otherwise must not vanish with it.
  if (outcome !== 'refused' && rejected.length > 0) await insertRejections(tx, rejected);
  const at = await markReplayed(tx, row.id, outcome, first);
  if (outcome !== 'refused' && row.topic !== '') await forwardReplayed(tx, row, rejected.length);
  await audit(tx, caller, {
    action: 'quarantine.replayed',
    subject: row.id,
    details: {
      meter_id: row.meter_id,
      topic: row.topic,
      code: row.code,
      outcome,
      ...(first === null ? {} : { refused: rejected.length, refused_code: first.code }),
      ...asDetails(corrections, counted),
    },
  });
  const replayed: Replayed = {
    id: Number(row.id),
    outcome,
    replayed_at: at.toISOString(),
    stored,
    duplicate,
    refused: rejected.length,
    code: first?.code ?? null,
    reason: first?.reason ?? null,
  };
  return { replayed, counted };
}

/** Accepted now, so it goes where accepted messages go: the part that quarantine kept, as it came. */
async function forwardReplayed(tx: Session, row: ReplayRow, refused: number): Promise<void> {
  const { topic, qos, payload, device_id, meter_id } = row;
  await deliveries.journal?.write(tx, {
    topic,
    qos,
    payload,
    device_id: device_id ?? '',
    meter_id: meter_id ?? '',
    received_at: row.received_at.getTime(),
    replayed: true,
    refused,
  });
}

/** Who changed what about the time of a reading must be found again. */
function asDetails({ time, offsetMs, ageMaxDays }: Corrections, result: StoreResult | null): object {
  const [reading] = result?.stored ?? [];
  return {
    ...(time === null ? {} : { reading_timestamp: new Date(time).toISOString() }),
    ...(offsetMs === 0 ? {} : { time_offset_ms: offsetMs }),
    ...(ageMaxDays === null ? {} : { age_max_days: ageMaxDays }),
    ...(reading === undefined ? {} : { stored_timestamp: new Date(reading.time).toISOString() }),
  };
}

/** Kept when nobody was registered under the name in its topic; somebody may be by now. */
async function withSender(database: Session, row: ReplayRow): Promise<ReplayRow> {
  if (row.topic === '' || (row.meter_id !== null && row.device_id !== null)) return row;
  const sender = await findSender(database, row.topic);
  return sender === null ? row : { ...row, ...sender };
}

function refusedAll(row: ReplayRow, refusal: { code: string; reason: string }): Awaited<ReturnType<Outcome>> {
  const { device_id, meter_id, topic, qos, payload } = row;
  const place = { delivery: 0, part: 0, device_id, meter_id, topic, qos, payload };
  const rejection = { ...place, ...refusal, received_at: row.received_at.getTime() };
  return {
    judgement: { valid: [], rejected: [rejection] },
    result: { stored: [], duplicate: [], rejected: [] },
  };
}

export function unknownMessage(id: string): DomainError {
  return new DomainError('MESSAGE_UNKNOWN', `There is no quarantined message ${JSON.stringify(id)}.`);
}
