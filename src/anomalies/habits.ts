import type { Reading } from '../readings/reading.js';

const METERS_MAX = 50_000;
/** Readings of so many hours, and so many of them, before a meter is judged: the night says nothing of the morning. */
const KNOWN_MS = 24 * 3_600_000;
const READINGS_MIN = 24;
/** So far back a habit reaches, fading: half of it is from the last eight hours. */
const MEMORY_MS = 12 * 3_600_000;
/** No reading counts for more than a quarter hour of it, also after a pause. */
const WEIGHT_MAX = 1 / 48;
/** So many outliers in a row are a new habit, to be learned from the beginning. */
const OUTLIERS_MAX = 8;
/** Whole ten-thousandths of a kWh: below this a habit is too small to be left. */
const ENERGY_MIN = 1_000;

interface Habit {
  mean: number;
  /** Mean distance from the mean. */
  spread: number;
  readings: number;
  /** Of the oldest and the newest reading that it was learned from, Unix ms. */
  oldestTime: number;
  newestTime: number;
  outliersInRow: number;
  /** When it was last heard, Unix ms. */
  heard: number;
  isSilent: boolean;
}

/** What each meter usually uses, and when it was last heard: some hundred bytes per meter, bounded. */
export class Habits {
  private readonly meters = new Map<string, Habit>();

  constructor(
    private readonly outlierTimes: number,
    private readonly silentMs: number,
  ) {}

  /** Returns what it usually uses, in ten-thousandths, when this reading is far beyond; else null. */
  hear({ meter_id, energy, time }: Reading, now: number): number | null {
    const habit = this.meters.get(meter_id) ?? this.meet(meter_id, now);
    habit.heard = now;
    habit.isSilent = false;
    const { mean, spread } = habit;
    const limit = Math.max(ENERGY_MIN, mean + this.outlierTimes * Math.max(spread, mean / 4));
    const known = Math.max(time, habit.newestTime) - habit.oldestTime;
    const isKnown = habit.readings >= READINGS_MIN && known >= KNOWN_MS;
    if (!isKnown || energy <= limit) {
      habit.outliersInRow = 0;
      this.learn(habit, energy, time);
      return null;
    }
    habit.outliersInRow += 1;
    if (habit.outliersInRow === OUTLIERS_MAX) Object.assign(habit, { readings: 0, outliersInRow: 0 });
    return mean;
  }

  /** At the start: when a meter was last heard, from what is stored. */
  remember(meter_id: string, heard: number): void {
    if (!this.meters.has(meter_id)) this.meet(meter_id, heard);
  }

  /** Meters of which nothing came by here for so long, and that are not known to be silent; at most `max`. */
  quiet(now: number, max: number): string[] {
    const found: string[] = [];
    for (const [meter_id, { heard, isSilent }] of this.meters) {
      if (found.length === max) break;
      if (!isSilent && now - heard >= this.silentMs) found.push(meter_id);
    }
    return found;
  }

  /** What is stored may be newer than what came by here. Returns when it was last heard if it is silent, else null. */
  judge(meter_id: string, stored: number | null, now: number): number | null {
    const habit = this.meters.get(meter_id);
    if (habit === undefined) return null;
    habit.heard = Math.max(habit.heard, stored ?? 0);
    if (habit.isSilent || now - habit.heard < this.silentMs) return null;
    habit.isSilent = true;
    return habit.heard;
  }

  forget(meter_id: string): void {
    this.meters.delete(meter_id);
  }

  private meet(meter_id: string, heard: number): Habit {
    if (this.meters.size >= METERS_MAX) {
      const oldest = this.meters.keys().next();
      if (oldest.done !== true) this.meters.delete(oldest.value);
    }
    const times = { oldestTime: 0, newestTime: 0, heard };
    const habit = { mean: 0, spread: 0, readings: 0, outliersInRow: 0, isSilent: false, ...times };
    this.meters.set(meter_id, habit);
    return habit;
  }

  /** However often a meter sends: what counts is the time that a reading stands for. */
  private learn(habit: Habit, energy: number, time: number): void {
    habit.readings += 1;
    if (habit.readings === 1) Object.assign(habit, { oldestTime: time, newestTime: time });
    const elapsed = Math.max(0, time - habit.newestTime);
    habit.newestTime = Math.max(habit.newestTime, time);
    habit.oldestTime = Math.min(habit.oldestTime, time);
    const weight = Math.max(Math.min(WEIGHT_MAX, elapsed / MEMORY_MS), 1 / habit.readings);
    habit.spread += weight * (Math.abs(energy - habit.mean) - habit.spread);
    habit.mean += weight * (energy - habit.mean);
    if (habit.readings === 1) habit.spread = 0;
  }
}
