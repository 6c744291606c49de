import { setTimeout } from 'node:timers/promises';

import { elapsedMs } from './clock.js';
import type { Delivery } from './delivery.js';
import { type Pending, deliveries } from './deliveries.js';
import type { DeviceIngest } from './device-ingest.js';
import { GIVE_UPS_MAX, GiveUps } from './give-ups.js';
import type { InboundPublish, PublishAcceptor } from './inbound-publish.js';
import { Inflight } from './inflight.js';
import type { BrokerLimits } from './limits.js';
import type { BrokerFlow, BrokerLog } from './options.js';
import { WillDelivery } from './wills.js';
import { metrics } from '../operation/metrics.js';

/** Owns the deliveries of one broker: the gate at the bound, and what happens to those that no flow settles. */
export class Acceptance implements PublishAcceptor {
  readonly flowDeadlineMs: number;
  readonly inflight: Inflight;
  /** The flow is away. */
  waiting = false;
  private readonly giveUps = new GiveUps();
  givenUp = 0;

  constructor(
    limits: BrokerLimits,
    private readonly parts: {
      readonly ingest: () => DeviceIngest;
      readonly flow: () => BrokerFlow;
      readonly onGateOpen: () => void;
      readonly log: BrokerLog;
    },
  ) {
    this.flowDeadlineMs = limits.flowDeadlineMs;
    this.inflight = new Inflight(limits.inflightMax, limits.inflightBytesMax, () => {
      if (this.isGateOpen) parts.onGateOpen();
    });
  }

  get isGateOpen(): boolean {
    return !this.waiting && !this.inflight.saturated;
  }

  opened(bytes: number): void {
    this.inflight.opened(bytes);
  }

  closed(bytes: number): void {
    this.inflight.closed(bytes);
  }

  accepted(publish: InboundPublish): void {
    this.parts.ingest().accepted(publish);
  }

  /**
   * The flow is there again, and gets what is returned: nobody holds it, so it was lost when its nodes went, or was
   * kept back since. A repeat is a `duplicate` at worst.
   */
  resume(): Delivery[] {
    this.waiting = false;
    const now = elapsedMs();
    return deliveries.unheld(this).map((pending) => {
      pending.offered = now;
      return pending.delivery;
    });
  }

  /**
   * Resolves when nothing is in flight any more, or after `deadlineMs`. With the flow away only what a store holds
   * can still be settled.
   */
  async drained(deadlineMs: number, flowIsAway: boolean): Promise<void> {
    const deadline = elapsedMs() + deadlineMs;
    const isDone = () => (flowIsAway ? deliveries.held(this) : this.inflight.count) === 0;
    while (!isDone() && elapsedMs() < deadline) await setTimeout(20);
  }

  lapsed(pending: Pending): 'keep' | 'drop' {
    this.givenUp++;
    metrics.deliveriesGivenUp.inc();
    const { delivery } = pending;
    const { unsettled } = this.parts.flow();
    const isWill = pending instanceof WillDelivery;
    const count = this.giveUps.count(delivery);
    if (unsettled !== undefined && (isWill || count >= GIVE_UPS_MAX)) {
      this.parts.log.warn('No flow settled a message; it goes to quarantine', {
        topic: delivery.topic,
        count,
      });
      void this.quarantine(pending, unsettled);
      return 'keep';
    }
    this.parts.log.warn('No flow settled a message in time; the client is closed and sends it again', {
      topic: delivery.topic,
      count,
    });
    pending.abandon('not settled by the flow');
    return 'drop';
  }

  private async quarantine(
    pending: Pending,
    unsettled: (delivery: Delivery) => Promise<void>,
  ): Promise<void> {
    try {
      await unsettled(pending.delivery);
      this.giveUps.forget(pending.delivery);
      deliveries.settle(pending.id, undefined, 'refused');
    } catch (error) {
      this.parts.log.warn('A message that no flow settled could not be quarantined', {
        error: String(error),
      });
      deliveries.leaveTurn(pending);
      // Its hold ends with the client's patience; then it comes again.
      pending.abandon('not settled by the flow');
    }
  }
}
