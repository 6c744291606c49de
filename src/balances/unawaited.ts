import type { Delivery } from '../broker/delivery.js';
import { metrics } from '../operation/metrics.js';

interface Delivered {
  readonly delivery: number;
}

/** Messages of QoS 0 that may wait for the database; what is acknowledged is bounded by the broker. */
const waitingMax = 20_000;

/** Nobody waits for QoS 0, so nobody else bounds it: beyond the bound it is dropped and counted. */
export function createUnawaited(): {
  admit(deliveries: readonly Delivery[]): readonly Delivery[];
  begin(items: readonly Delivered[]): void;
  end(items: readonly Delivered[]): void;
} {
  let waiting = 0;
  return {
    admit(deliveries) {
      if (waiting < waitingMax) return deliveries;
      return deliveries.filter(({ delivery, pattern }) => {
        const isAdmitted = delivery !== 0 || !pattern.startsWith('smartmeter/');
        if (!isAdmitted) metrics.unheardMessages.inc({ topic: pattern });
        return isAdmitted;
      });
    },
    begin: (items) => void (waiting += countOf(items)),
    end: (items) => void (waiting -= countOf(items)),
  };
}

function countOf(items: readonly Delivered[]): number {
  return items.reduce((sum, { delivery }) => sum + (delivery === 0 ? 1 : 0), 0);
}
