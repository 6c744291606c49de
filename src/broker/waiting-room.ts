import type { Connection } from './connection.js';

/** How often the clients that used up their rate are looked at; at 50/s that is 2 or 3 messages each time. */
const TICK_MS = 50;

/** Connections whose next PUBLISH must wait: for the gate (bound, redeploy) or for their own rate. */
export class WaitingRoom {
  private stalled = new Set<Connection>();
  private throttled = new Set<Connection>();
  private timer: NodeJS.Timeout | null = null;
  private draining = false;

  get throttledCount(): number {
    return this.throttled.size;
  }

  /** Until the gate opens. */
  stall(connection: Connection): void {
    this.stalled.add(connection);
  }

  /** Until its bucket has filled a little. */
  throttle(connection: Connection): void {
    this.throttled.add(connection);
    this.timer ??= setInterval(() => this.tick(), TICK_MS).unref();
  }

  /** The gate is open: everybody in turn, who is refused again goes to the end. */
  admit(): void {
    if (this.draining) return;
    this.draining = true;
    // Not inside the settle that opened the gate.
    setImmediate(() => {
      this.draining = false;
      const waiting = this.stalled;
      this.stalled = new Set();
      for (const connection of waiting) connection.drain();
    });
  }

  leave(connection: Connection): void {
    this.stalled.delete(connection);
    this.throttled.delete(connection);
  }

  close(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }

  private tick(): void {
    const waiting = this.throttled;
    this.throttled = new Set();
    for (const connection of waiting) connection.drain();
    if (this.throttled.size === 0) this.close();
  }
}
