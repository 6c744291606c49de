import { metrics } from '../operation/metrics.js';
import type { Clients } from './clients.js';
import type { Inflight } from './inflight.js';

/** Counts in plain numbers on the fast path and moves them into the metrics with the sweep. */
export class Counters {
  settled = 0;
  private readonly labels = new Map<string, { count: number }>();
  private told = 0;
  private publishedByClosed = 0;

  get received(): number {
    let sum = this.told;
    for (const [label, { count }] of this.labels) if (label !== 'denied') sum += count;
    return sum;
  }

  of(label: string): { count: number } {
    let counter = this.labels.get(label);
    if (counter === undefined) this.labels.set(label, (counter = { count: 0 }));
    return counter;
  }

  published(count: number): void {
    this.publishedByClosed += count;
  }

  publish(inflight: Inflight, clients: Clients): void {
    for (const [label, counter] of this.labels) {
      if (counter.count === 0) continue;
      metrics.mqttReceived.inc({ topic: label }, counter.count);
      this.told += counter.count;
      counter.count = 0;
    }
    let sent = this.publishedByClosed;
    this.publishedByClosed = 0;
    for (const { outbound } of clients) {
      sent += outbound.published;
      outbound.published = 0;
    }
    if (sent > 0) metrics.mqttPublished.inc(sent);
    if (this.settled > 0) metrics.deliveriesSettled.inc(this.settled);
    this.settled = 0;
    metrics.inflight.set(inflight.count);
    metrics.inflightBytes.set(inflight.bytes);
  }
}
