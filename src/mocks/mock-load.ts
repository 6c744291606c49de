import { quarterIndex, quarterMs } from './load-profile.js';
import { faultEffects, faultOf, type Fault, type FaultKind } from './mock-faults.js';
import { usualPart } from './mock-shapes.js';
import { kindOf, ratingOf, type MockKind, type MockRating } from './mock-types.js';
import { drawn } from './seeded.js';

export interface MockLoadOptions {
  readonly seed: number;
  readonly id: string;
  readonly type: string;
  /** kW at full load; null: that of the type. */
  readonly base_power: number | null;
  /** V; null: that of the type. */
  readonly base_voltage: number | null;
}

/** Devices of a kind do not switch at one moment: each has its own clock, up to this much early or late. */
const shiftMs = 20 * 60_000;
/** An idle or unloaded feeder is a little above nominal, and drifts. */
const driftPart = 0.012;
/** What the line to the device loses at full load. */
const sagPart = 0.035;
/** The share of the power factor that is lost without load, as of motors and transformers. */
const idleFactorPart = 0.25;
const quartersOfDay = 96;

/**
 * What a mock draws. Everything is a function of seed, id, type, base values and time alone, so that the time of a
 * restart is integrated as if there had been none. What is kept are the last day's fault and the last quarter's energy,
 * because they are asked for every five seconds.
 */
export class MockLoad {
  readonly kind: MockKind;
  readonly basePower: number;
  readonly baseVoltage: number;
  private readonly rating: MockRating;
  private readonly shift: number;
  private readonly seed: number;
  private readonly id: string;
  private day = NaN;
  private fault: Fault | null = null;
  private quarter = NaN;
  private energy = 0;

  constructor({ seed, id, type, base_power, base_voltage }: MockLoadOptions) {
    this.seed = seed;
    this.id = id;
    this.kind = kindOf(type);
    this.rating = ratingOf(this.kind);
    this.basePower = base_power ?? this.rating.power;
    this.baseVoltage = base_voltage ?? this.rating.voltage;
    this.shift = (2 * drawn(seed, id, 'shift') - 1) * shiftMs;
  }

  /** Energy of one quarter of an hour (counted from 1970) in whole ten-thousandths of a kWh. */
  energyOf(quarter: number): number {
    if (quarter !== this.quarter) {
      const fault = this.faultIn(quarter);
      const noise = 1 + this.rating.noise * (2 * drawn(this.seed, this.id, quarter) - 1);
      const middle = quarter * quarterMs + quarterMs / 2 + this.shift;
      const part = Math.min(1, usualPart(this.kind, this.seed, middle) * noise);
      const kw = this.basePower * part * (fault === null ? 1 : faultEffects[fault].power);
      this.energy = Math.round(kw * 0.25 * 10_000);
      this.quarter = quarter;
    }
    return this.energy;
  }

  /** Whole ten-thousandths of a kWh from `from` to `to` (Unix ms). Adds up exactly, wherever it is divided. */
  energyBetween(from: number, to: number): number {
    if (to <= from) return 0;
    const [first, last] = [quarterIndex(from), quarterIndex(to)];
    let energy = this.partOf(last, to) - this.partOf(first, from);
    for (let quarter = first; quarter < last; quarter += 1) energy += this.energyOf(quarter);
    return energy;
  }

  /** kW at an instant: the quarter's mean with a flutter that changes every five seconds. */
  powerAt(time: number): number {
    const mean = this.energyOf(quarterIndex(time)) / 2_500;
    const flutter = 1 + 0.06 * (drawn(this.seed, this.id, `flutter ${Math.floor(time / 5_000)}`) - 0.5);
    return Math.round(mean * flutter * 1_000) / 1_000;
  }

  /** Between 0 and 1, worse with little load. */
  powerFactorAt(time: number): number {
    const { powerFactor } = this.rating;
    const loss = (1 - this.loadAt(time)) * idleFactorPart * (1 - powerFactor) * 4;
    return Math.round(Math.max(0.3, powerFactor - loss) * 1_000) / 1_000;
  }

  /** V at an instant: the feeder drifts, and the line sags by the apparent power that it carries. */
  voltageAt(time: number): number {
    const fault = this.faultAt(time);
    const drift = driftPart * (2 * drawn(this.seed, this.id, `drift ${Math.floor(time / 60_000)}`) - 1);
    const apparent = (this.loadAt(time) * this.rating.powerFactor) / this.powerFactorAt(time);
    const supply = fault === null ? 1 : faultEffects[fault].voltage;
    return Math.round(this.baseVoltage * supply * (1 + drift - sagPart * apparent) * 10) / 10;
  }

  faultAt(time: number): FaultKind | null {
    return this.faultIn(quarterIndex(time));
  }

  private faultIn(quarter: number): FaultKind | null {
    const day = Math.floor(quarter / quartersOfDay);
    if (day !== this.day) {
      this.day = day;
      this.fault = faultOf(this.seed, this.id, day);
    }
    const { fault } = this;
    return fault !== null && quarter >= fault.from && quarter < fault.to ? fault.kind : null;
  }

  /** What a quarter has drawn until `time`, in it or at its end. */
  private partOf(quarter: number, time: number): number {
    return Math.floor((this.energyOf(quarter) * (time - quarter * quarterMs)) / quarterMs);
  }

  private loadAt(time: number): number {
    return this.basePower === 0 ? 0 : this.energyOf(quarterIndex(time)) / 2_500 / this.basePower;
  }
}
