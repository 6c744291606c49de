import { canonicalString } from '../readings/signature.js';
import { quarterEnd, quarterIndex, quarterMs } from './load-profile.js';
import type { MockLoad } from './mock-load.js';

export type Signer = (message: string) => string;

/** What a reading holds at most by the usual rules, in ten-thousandths of a kWh. */
const energyMax = 1_000_000;
/** A meter has room for seven days: older readings would be refused anyway. */
const bufferMax = 7 * 96;
/** Readings under way at once: far below the broker's burst limit. */
const windowMax = 20;

interface Waiting {
  readonly quarter: number;
  readonly payload: string;
}

/**
 * [M-1] of a mock meter: one reading per quarter of an hour, kept until it is acknowledged. Its energy is fixed when the
 * quarter ends, so that a repeat is the same reading, whatever the device's base values are by then.
 */
export class MockReadings {
  private waiting: Waiting[] = [];
  private readonly underWay = new Map<number, Waiting>();
  private nextQuarter: number;
  private packetId = 0;
  /** Quarters that hold more than a reading may. */
  tooBig = 0;
  acknowledged = 0;

  /**
   * @param readUntil end of the last acknowledged quarter in Unix ms; null: none is
   * @param bornAt what was drawn before is not the mock's
   */
  constructor(
    private readonly meterId: string,
    readUntil: number | null,
    private readonly bornAt: number,
    private readonly sign?: Signer,
  ) {
    this.nextQuarter = quarterIndex(readUntil ?? bornAt);
  }

  /** Not yet acknowledged. */
  get size(): number {
    return this.waiting.length + this.underWay.size;
  }

  /** Up to where everything is acknowledged, in Unix ms; null when nothing is. */
  get readUntil(): number | null {
    const oldest = Math.min(this.waiting[0]?.quarter ?? this.nextQuarter, ...this.underWay.keys());
    return oldest <= quarterIndex(this.bornAt) ? null : oldest * quarterMs;
  }

  /** Takes in the quarters that have ended. */
  tick(now: number, load: MockLoad): void {
    const running = quarterIndex(now);
    if (this.nextQuarter >= running) return;
    this.nextQuarter = Math.max(this.nextQuarter, running - bufferMax);
    for (; this.nextQuarter < running; this.nextQuarter += 1) this.read(this.nextQuarter, load);
    if (this.waiting.length > bufferMax) this.waiting = this.waiting.slice(-bufferMax);
  }

  /** What may be sent now, with the packet ids under which `settle` hears of it. */
  take(): { readonly messageId: number; readonly payload: string }[] {
    return this.waiting.splice(0, windowMax - this.underWay.size).map((reading) => {
      do this.packetId = (this.packetId % 65_535) + 1;
      while (this.underWay.has(this.packetId));
      this.underWay.set(this.packetId, reading);
      return { messageId: this.packetId, payload: reading.payload };
    });
  }

  settle(messageId: number): void {
    if (this.underWay.delete(messageId)) this.acknowledged += 1;
  }

  /** The connection is gone: what was under way goes over the next one. */
  lost(): void {
    this.waiting = [...this.underWay.values(), ...this.waiting].sort((a, b) => a.quarter - b.quarter);
    this.underWay.clear();
  }

  private read(quarter: number, load: MockLoad): void {
    const [begin, end] = [quarter * quarterMs, quarterEnd(quarter)];
    const energy = load.energyBetween(Math.max(begin, this.bornAt), end);
    // Without supply there is nothing to read: a reading of 0 is not valid.
    if (energy === 0) return;
    if (energy > energyMax) {
      this.tooBig += 1;
      return;
    }
    const signature = this.sign?.(canonicalString(this.meterId, energy, end));
    const payload = JSON.stringify({
      meter_id: this.meterId,
      kwh_amount: energy / 10_000,
      reading_timestamp: new Date(end).toISOString(),
      ...(signature === undefined ? {} : { device_signature: signature }),
    });
    this.waiting.push({ quarter, payload });
  }
}
