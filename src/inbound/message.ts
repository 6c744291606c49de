import type { Delivery } from '../broker/delivery.js';
import type { DeliveryOwner, Pending } from '../broker/deliveries.js';
import { elapsedMs } from '../broker/clock.js';
import type { Turns } from '../broker/turns.js';
import type { Rejection } from '../readings/reading.js';
import type { InboundSession } from './session.js';

/** A batch's kind, and the message's place in it. */
export type Offer =
  | { readonly output: 'readings' | 'messages'; readonly item: Delivery }
  | { readonly output: 'rejected'; readonly item: Rejection };

/** A QoS 1 message of the external broker between its arrival and our PUBACK. */
export class InboundMessage implements Pending {
  id = 0;
  offered = elapsedMs();
  held = 0;
  abandoned = false;
  parts: Uint8Array | null = null;
  partsOpen = 0;
  partsHeld = 0;
  refused = 0;
  state: Pending['state'] = 'open';
  turns: Turns | null = null;
  acknowledged = false;
  readonly arrived = this.offered;
  /** Set once its device is known; a delivery is opened with it. */
  delivery!: Delivery;
  /** Set, too: what the flow gets, and where. */
  offer!: Offer;

  constructor(
    readonly owner: DeliveryOwner,
    private readonly line: Turns,
    readonly topic: string,
    readonly payload: string | Buffer,
    readonly packetId: number,
    readonly bytes: number,
    /** Another one after a reconnect in which the broker sent it again. */
    public session: InboundSession,
  ) {}

  /** We keep this connection alive ourselves, so the broker waits as long as the database is away. */
  holdLimitMs(): number {
    return Infinity;
  }

  turnsOfClient(): Turns {
    return this.line;
  }

  acknowledge(): void {
    this.acknowledged = true;
    this.session.acknowledged();
  }

  abandon(reason: string): void {
    this.abandoned = true;
    this.session.end(reason);
  }

  /** Whether the broker means the same message, sent again after a reconnect. */
  isSame(topic: string, payload: string | Buffer): boolean {
    if (this.topic !== topic) return false;
    if (typeof payload === 'string' || typeof this.payload === 'string') return this.payload === payload;
    return this.payload.equals(payload);
  }
}
