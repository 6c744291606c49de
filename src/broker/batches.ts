import { elapsedMs } from './clock.js';
import type { Delivery, SessionEvent } from './delivery.js';
import type { BrokerSink } from './options.js';

/** A batch also leaves when its payloads reach this many bytes, so that big messages do not pile up in one. */
const BYTES_MAX = 4 * 1024 * 1024;

/**
 * Collects deliveries and hands them to the flow as one message, at most one each `delayMs`: a hop through a visual flow
 * then costs per batch, not per reading. What comes alone, like a meter's answer to a token, leaves at once. Without a
 * sink (redeploy) it keeps what it has; the bound on what is in flight keeps that small.
 */
export class Batches {
  private readings: Delivery[] = [];
  private messages: Delivery[] = [];
  private sessions: SessionEvent[] = [];
  private bytes = 0;
  private timer: NodeJS.Timeout | null = null;
  private flushedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private sink: BrokerSink | null,
    private readonly sizeMax: number,
    private readonly delayMs: number,
    private readonly onSinkFailed: (error: unknown) => void,
  ) {}

  reading(delivery: Delivery, bytes: number): void {
    this.bytes += bytes;
    if (this.readings.push(delivery) >= this.sizeMax || this.bytes >= BYTES_MAX) this.flush();
    else this.schedule();
  }

  message(delivery: Delivery, bytes: number): void {
    this.bytes += bytes;
    if (this.messages.push(delivery) >= this.sizeMax || this.bytes >= BYTES_MAX) this.flush();
    else this.schedule();
  }

  /** The flow goes away: what would be sent now might reach nobody. */
  detach(): void {
    this.sink = null;
  }

  /** The flow is there again: it gets everything that is open, in its order, and what nobody waits for. */
  attach(sink: BrokerSink, open: readonly Delivery[]): void {
    this.sink = sink;
    // The others of these are open, too.
    const unawaited = [...this.readings, ...this.messages].filter(({ delivery }) => delivery === 0);
    this.readings = [];
    this.messages = [];
    this.bytes = 0;
    for (const delivery of [...open, ...unawaited]) {
      if (delivery.pattern.startsWith('meters/+/readings')) this.reading(delivery, delivery.payload.length);
      else this.message(delivery, delivery.payload.length);
    }
    this.flush();
  }

  session(event: SessionEvent): void {
    // Without a flow only the latest matter; a reconnect storm during a redeploy must not grow this.
    if (this.sink === null && this.sessions.length >= 10_000) this.sessions.shift();
    this.sessions.push(event);
    this.schedule();
  }

  flush(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.flushedAt = elapsedMs();
    const { sink, readings, messages, sessions } = this;
    if (sink === null) return;
    this.readings = [];
    this.messages = [];
    this.sessions = [];
    this.bytes = 0;
    // Sessions first: `connected` is told before what that client said.
    if (sessions.length > 0) this.hand(() => sink.sessions(sessions));
    if (readings.length > 0) this.hand(() => sink.readings(readings));
    if (messages.length > 0) this.hand(() => sink.messages(messages));
  }

  private hand(give: () => void): void {
    try {
      give();
    } catch (error) {
      // Its deliveries are given up after the flow's deadline, like those of a cut wire.
      this.onSinkFailed(error);
    }
  }

  private schedule(): void {
    if (this.timer !== null || this.sink === null) return;
    const leftMs = this.flushedAt + this.delayMs - elapsedMs();
    this.timer = setTimeout(() => this.flush(), Math.max(0, leftMs));
  }
}
