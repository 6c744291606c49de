import type { DevicePrincipal } from '../devices/access.js';
import { classify } from '../devices/access.js';
import type { Batches } from './batches.js';
import { elapsedMs } from './clock.js';
import type { Delivery } from './delivery.js';
import { type DeliveryOwner, type Pending, deliveries } from './deliveries.js';
import type { Will } from './packet/connect.js';
import type { Turns } from './turns.js';

/** The will of a device on its way to the database. Nobody sends it again, so it is never given up for a client. */
export class WillDelivery implements Pending {
  id = 0;
  held = 0;
  abandoned = false;
  parts: Uint8Array | null = null;
  partsOpen = 0;
  partsHeld = 0;
  refused = 0;
  state: Pending['state'] = 'open';
  turns: Turns | null = null;
  offered: number;

  constructor(
    readonly owner: DeliveryOwner,
    readonly delivery: Delivery,
    readonly bytes: number,
    private readonly done: (error?: Error | null) => void,
  ) {
    this.offered = elapsedMs();
  }

  holdLimitMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  /** It is the last of its client, and alone. */
  turnsOfClient(): null {
    return null;
  }

  acknowledge(): void {
    this.done(null);
  }

  abandon(reason: string): void {
    this.done(new Error(reason));
  }
}

/** Offers a will like any other message of the device ([M-12], [M-13]); `done` lets aedes publish it. */
export function acceptWill(
  principal: DevicePrincipal,
  will: Pick<Will, 'topic' | 'payload' | 'qos'>,
  owner: DeliveryOwner,
  batches: Batches,
  done: (error?: Error | null) => void,
): void {
  const route = classify(principal, will.topic);
  if (route.kind === 'denied') {
    done(new Error('will denied'));
    return;
  }
  const qos = will.qos as 0 | 1 | 2;
  const payload = Buffer.from(will.payload);
  const text = payload.toString('utf8');
  const delivery = {
    delivery: 0,
    topic: will.topic,
    pattern: route.pattern,
    qos,
    payload: Buffer.from(text, 'utf8').equals(payload) ? text : payload,
    received_at: Date.now(),
    device_id: principal.device_id,
    meter_id: principal.meter_id,
    user_id: principal.user_id,
  };
  if (qos > 0) delivery.delivery = deliveries.open(new WillDelivery(owner, delivery, payload.length, done));
  if (route.kind === 'reading') batches.reading(delivery, payload.length);
  else batches.message(delivery, payload.length);
  if (qos === 0) done(null);
}
