import { Bucket } from './rate.js';

/** Refusals of a storming address are answered this late: a client that waits for its answer storms no more. */
const LATE_MS = 3_000;
/** Connections that a storming address may still open, for each refusal it may have per second: its neighbours' too. */
const OPENED_PER_REFUSAL = 20;
/** Seconds of refusals that an address has in stock. */
const STOCK_SECONDS = 10;
const ADDRESSES_MAX = 10_000;

interface Caller {
  readonly refusals: Bucket;
  readonly opened: Bucket;
  /** From when its stock of refusals was used up until it is full again. */
  isStorming: boolean;
}

/**
 * Bounds what wrong logins cost, per address ([M-15]). Only refusals count, so that thousands of meters behind one
 * address come in as fast as they like; what is connected is never touched.
 */
export class LoginThrottle {
  private readonly callers = new Map<string, Caller>();

  constructor(
    private readonly refusalsPerSecond: number,
    private readonly onStorm: (address: string) => void,
  ) {}

  /** False: drop the socket at once, before a byte of it is read. */
  mayOpen(address: string, now: number): boolean {
    const caller = this.callers.get(address);
    if (caller?.isStorming !== true) return true;
    caller.isStorming = !caller.refusals.isFull(now);
    return !caller.isStorming || caller.opened.take(now);
  }

  /** A login is refused. Returns how long the answer waits. */
  refused(address: string, now: number): number {
    const caller = this.callerOf(address);
    const isInStock = caller.refusals.take(now);
    if (!isInStock && !caller.isStorming) {
      caller.isStorming = true;
      this.onStorm(address);
    }
    return caller.isStorming ? LATE_MS : 0;
  }

  sweep(now: number): void {
    for (const [address, caller] of this.callers)
      if (caller.refusals.isFull(now)) this.callers.delete(address);
  }

  private callerOf(address: string): Caller {
    let caller = this.callers.get(address);
    if (caller === undefined) {
      const { refusalsPerSecond: rate } = this;
      caller = {
        refusals: new Bucket(rate, rate * STOCK_SECONDS),
        opened: new Bucket(rate * OPENED_PER_REFUSAL, rate * OPENED_PER_REFUSAL),
        isStorming: false,
      };
      this.callers.set(address, caller);
      if (this.callers.size > ADDRESSES_MAX) {
        const oldest = this.callers.keys().next();
        if (oldest.done !== true) this.callers.delete(oldest.value);
      }
    }
    return caller;
  }
}
