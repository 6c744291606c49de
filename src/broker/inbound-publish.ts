import type { Connection } from './connection.js';
import type { Delivery } from './delivery.js';
import type { DeliveryOwner, Pending } from './deliveries.js';
import type { Owed } from './acks.js';
import { Turns } from './turns.js';

export interface PublishAcceptor extends DeliveryOwner {
  /** The outcome of a PUBLISH is committed. */
  accepted(publish: InboundPublish): void;
}

/** A device's QoS 1 or 2 PUBLISH between its arrival and its acknowledgement. */
export class InboundPublish implements Pending, Owed {
  id = 0;
  offered: number;
  held = 0;
  abandoned = false;
  parts: Uint8Array | null = null;
  partsOpen = 0;
  partsHeld = 0;
  refused = 0;
  state: Pending['state'] = 'open';
  turns: Turns | null = null;
  acknowledged = false;

  constructor(
    readonly owner: PublishAcceptor,
    readonly delivery: Delivery,
    readonly bytes: number,
    readonly answer: number,
    readonly packetId: number,
    readonly retain: boolean,
    /** Another one after a reconnect with a QoS 2 packet still open. */
    public connection: Connection,
  ) {
    this.offered = connection.clock;
  }

  holdLimitMs(): number {
    return this.connection.holdLimitMs;
  }

  turnsOfClient(): Turns | null {
    const { session } = this.connection;
    return session === null ? null : (session.turns ??= new Turns());
  }

  acknowledge(): void {
    this.acknowledged = true;
    this.owner.accepted(this);
  }

  abandon(reason: string): void {
    this.connection.close(reason);
  }
}
