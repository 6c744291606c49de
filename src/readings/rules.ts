import { DomainError } from '../errors.js';

/** The rules of a reading that can be set; every one is a number of the unit in its name. */
export interface ReadingLimits {
  /** Most energy of one reading, included. */
  readonly kwhMax: number;
  /** Oldest reading, included. */
  readonly ageMaxDays: number;
  /** How far a meter's clock may be ahead, included. */
  readonly aheadMaxMinutes: number;
  /** Least distance of two stored readings of a meter; exactly this far apart is fine; 0 turns the rule off. */
  readonly spacingSeconds: number;
}

export const defaultLimits: ReadingLimits = {
  kwhMax: 100,
  ageMaxDays: 7,
  aheadMaxMinutes: 5,
  spacingSeconds: 900,
};

/** Why a reading is refused: a code of the protocol and a sentence with the value and what is allowed. */
export interface Refusal {
  readonly code:
    'SCHEMA_INVALID' | 'KWH_OUT_OF_RANGE' | 'TIMESTAMP_OUT_OF_WINDOW' | 'TOO_CLOSE' | 'METER_MISMATCH';
  readonly reason: string;
}

/** Whole ten-thousandths of a unit, or NaN when the number has more than four decimals. */
export function tenThousandths(amount: number): number {
  const whole = Math.round(amount * 10_000);
  // Division is correctly rounded: it gives back exactly the double that JSON.parse makes of a four-decimal literal.
  // From 1e10 on doubles are too coarse to tell; such amounts are whole and out of every range anyway.
  return whole / 10_000 === amount || Math.abs(amount) >= 1e10 ? whole : NaN;
}

export interface Rules {
  /** `energy` in ten-thousandths, `time` and `now` in Unix ms; null when the reading keeps the rules. */
  check(energy: number, time: number, now: number): Refusal | null;
}

export function createRules(limits: ReadingLimits): Rules {
  const { kwhMax, ageMaxDays, aheadMaxMinutes } = limits;
  for (const [name, value] of Object.entries({ kwhMax, ageMaxDays, aheadMaxMinutes })) {
    if (!Number.isFinite(value) || value < 0) {
      throw new DomainError('CONFIGURATION', `The limit ${name} is ${value}; it must be a number from 0 on.`);
    }
  }
  const energyMax = Math.round(kwhMax * 10_000);
  const ageMaxMs = ageMaxDays * 86_400_000;
  const aheadMaxMs = aheadMaxMinutes * 60_000;
  return {
    check(energy, time, now) {
      if (!(energy > 0 && energy <= energyMax)) {
        const reason = `kwh_amount is ${energy / 10_000}; it must be more than 0 and at most ${kwhMax}.`;
        return { code: 'KWH_OUT_OF_RANGE', reason };
      }
      if (!(time >= now - ageMaxMs && time <= now + aheadMaxMs)) {
        const window = `at most ${ageMaxDays} days old and ${aheadMaxMinutes} minutes ahead`;
        const reason = `reading_timestamp is ${new Date(time).toISOString()}; it must be ${window}.`;
        return { code: 'TIMESTAMP_OUT_OF_WINDOW', reason };
      }
      return null;
    },
  };
}

/** The sentence of the spacing rule: `time` is the refused reading's, `stored` that of the one in its way (Unix ms). */
export function tooClose(time: number, stored: number, spacingSeconds: number): Refusal {
  const neighbour = new Date(stored).toISOString();
  const reason =
    time === stored
      ? `The meter has another energy stored for ${neighbour}.`
      : `${new Date(time).toISOString()} is ${Math.abs(time - stored) / 1000} s from the stored reading of ` +
        `${neighbour}; two readings of a meter are at least ${spacingSeconds} s apart.`;
  return { code: 'TOO_CLOSE', reason };
}
