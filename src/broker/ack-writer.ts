import { metrics } from '../operation/metrics.js';
import { elapsedMs } from './clock.js';
import type { Connection } from './connection.js';
import type { Counters } from './counters.js';

/**
 * Writes acknowledgements once per turn of the event loop: one socket write per client and settled batch, instead of
 * one per message.
 */
export class AckWriter {
  private ready: Connection[] = [];

  constructor(private readonly counters: Counters) {}

  add(connection: Connection): void {
    if (this.ready.push(connection) === 1) setImmediate(() => this.flush());
  }

  flush(): void {
    const { ready } = this;
    this.ready = [];
    const now = elapsedMs();
    for (const connection of ready) {
      const written = connection.flushAcks();
      if (written === null) continue;
      this.counters.settled += written.count;
      // One observation per write, of its oldest PUBLISH: at a low rate that is every message.
      metrics.deliverySeconds.observe((now - written.oldest) / 1000);
    }
  }
}
