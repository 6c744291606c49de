import { numberSetting } from './setting.js';

/** The fields of a dialog that hold the limits of section 5; shipped flows have them from the environment. */
export interface LimitFields {
  readonly kwhMax: string;
  readonly ageMaxDays: string;
  readonly aheadMaxMinutes: string;
}

/** The same for every way in, and for what an operator replays. @throws DomainError CONFIGURATION */
export function readingLimits(config: LimitFields): {
  kwhMax: number;
  ageMaxDays: number;
  aheadMaxMinutes: number;
} {
  return {
    kwhMax: numberSetting(config.kwhMax, 100, { name: 'Energy', min: 0.0001, max: 1_000_000 }),
    ageMaxDays: numberSetting(config.ageMaxDays, 7, { name: 'Age', min: 0, max: 3650 }),
    aheadMaxMinutes: numberSetting(config.aheadMaxMinutes, 5, { name: 'Ahead', min: 0, max: 1440 }),
  };
}
