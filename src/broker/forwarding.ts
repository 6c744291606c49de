import { metrics } from '../operation/metrics.js';
import type { Engine } from './aedes-engine.js';
import type { Delivery } from './delivery.js';
import type { Interest } from './interest.js';
import type { RetainedQuota } from './retained.js';

/** Gives accepted device messages to the service accounts that subscribed to them, and retains them when asked. */
export class Forwarding {
  constructor(
    private readonly engine: Engine,
    private readonly interest: Interest,
    private readonly retained: RetainedQuota,
  ) {}

  forward(delivery: Delivery, retain: boolean): void {
    if (!retain && !this.interest.matches(delivery.topic)) return;
    const { topic, payload, qos, device_id } = delivery;
    const mayRetain = retain && this.retained.admit(device_id, topic, Buffer.byteLength(payload));
    if (retain && !mayRetain) metrics.mqttRefused.inc({ what: 'retain', reason: 'limit' });
    this.engine.publishLater({ topic, payload, qos, retain: mayRetain });
  }
}
