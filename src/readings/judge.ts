import type { ReadingLimits, Refusal } from './rules.js';
import { createRules, defaultLimits, tenThousandths } from './rules.js';
import { parseTimestamp } from './timestamp.js';
import { compileExtraSchema, describeErrors, isWireReading } from './wire-format.js';

/** What a reading says, in the units of the store. */
export interface Measured {
  readonly meter_id: string;
  /** Whole ten-thousandths of a kWh. */
  readonly energy: number;
  /** Unix ms. */
  readonly time: number;
  /** Not verified here. */
  readonly signature: string | null;
}

/**
 * Judges one parsed reading at the moment `at` (Unix ms). `meter_id` is the meter it must belong to, null when only
 * the reading itself says so; `topic` may name the same meter in another way, by its drn ([M-12]).
 */
export type Judge = (
  input: unknown,
  meter_id: string | null,
  topic: string,
  at: number,
) => Measured | Refusal;

export function createJudge(limits: Partial<ReadingLimits> = {}, schema?: object): Judge {
  const rules = createRules({ ...defaultLimits, ...limits });
  const extra = schema === undefined ? null : compileExtraSchema(schema);

  return (input, meter_id, topic, at) => {
    if (!isWireReading(input)) return invalid(describeErrors(isWireReading.errors));
    if (extra !== null && !extra(input)) return invalid(describeErrors(extra.errors));
    const meter = meter_id ?? input.meter_id;
    if (meter === undefined) return invalid('meter_id is missing');

    const energy = tenThousandths(input.kwh_amount);
    if (Number.isNaN(energy)) return invalid(`kwh_amount is ${input.kwh_amount}; it has at most 4 decimals`);
    const time = parseTimestamp(input.reading_timestamp);
    if (Number.isNaN(time)) {
      return invalid(
        'reading_timestamp must be RFC 3339 with an offset, whole Unix milliseconds or whole Unix seconds',
      );
    }
    if (input.meter_id !== undefined && input.meter_id !== meter && input.meter_id !== levelOf(topic)) {
      return {
        code: 'METER_MISMATCH',
        reason: `meter_id is ${input.meter_id}; the reading came from ${meter}.`,
      };
    }
    const signature = input.device_signature ?? input.meter_signature ?? null;
    return rules.check(energy, time, at) ?? { meter_id: meter, energy, time, signature };
  };
}

function invalid(reason: string): Refusal {
  return { code: 'SCHEMA_INVALID', reason: `${reason}.` };
}

/** The device's own level of `meters/{m}/readings`. */
function levelOf(topic: string): string | undefined {
  return topic.split('/', 2)[1];
}
