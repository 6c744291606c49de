import type { IPublishPacket } from 'mqtt-packet';
import { elapsedMs } from '../broker/clock.js';
import type { Delivery } from '../broker/delivery.js';
import { deliveries, type DeliveryOwner, type Pending } from '../broker/deliveries.js';
import { textOrBytes } from '../broker/device-ingest.js';
import { GIVE_UPS_MAX, GiveUps } from '../broker/give-ups.js';
import { classify, type Route } from '../devices/access.js';
import type { NamedDevice } from '../devices/names.js';
import { metrics } from '../operation/metrics.js';
import type { Rejection } from '../readings/reading.js';
import { Turns } from '../broker/turns.js';
import { Collector } from './collector.js';
import { InboundMessage, type Offer } from './message.js';
import type { InboundOptions } from './options.js';
import type { InboundSession } from './session.js';
import { nameOfTopic, type TopicName } from './topics.js';

const sweepMs = 500;

/**
 * What the external broker brings becomes the same deliveries as those of the embedded one: looked up by topic, opened
 * in the delivery table, handed on in batches, acknowledged when settled.
 */
export class Intake implements DeliveryOwner {
  /** The flow is away. */
  waiting = false;
  private isClosed = false;
  received = 0;
  inflight = 0;
  givenUp = 0;
  private bytes = 0;
  private readonly giveUps = new GiveUps();
  /** Of all connections: what one left, the next one brings first. */
  private readonly turns = new Turns();
  private readonly readings: Collector<Delivery>;
  private readonly messages: Collector<Delivery>;
  private readonly rejected: Collector<Rejection>;
  /** Not acknowledged when the last connection broke: the broker sends them again. */
  private left = new Map<number, InboundMessage>();
  private readonly sweeper: NodeJS.Timeout;
  private lastSweep = elapsedMs();

  constructor(
    private readonly options: InboundOptions,
    readonly flowDeadlineMs: number,
  ) {
    const { sizeMax = 1_000, delayMs = 5 } = options.batch ?? {};
    const { sink } = options;
    this.readings = new Collector(sizeMax, delayMs, (batch) => sink.readings(batch));
    this.messages = new Collector(sizeMax, delayMs, (batch) => sink.messages(batch));
    this.rejected = new Collector(sizeMax, delayMs, (batch) => sink.rejected(batch));
    this.sweeper = setInterval(() => this.sweep(), sweepMs);
  }

  /** The same session at the broker: what it sends again is recognised, and stored once. */
  resume(isResumed: boolean): void {
    if (!isResumed) this.left.clear();
  }

  lost(session: InboundSession): void {
    // What an open session did not bring again will not come again.
    if (session.openedAt > 0) this.left.clear();
    for (const [id, message] of session.waiting) this.left.set(id, message);
  }

  take(session: InboundSession, packet: IPublishPacket): void {
    const { topic, qos } = packet;
    const bytes = packet.payload as Buffer;
    const payload = textOrBytes(bytes, 0, bytes.length);
    const name = nameOfTopic(topic);
    if (qos === 0) {
      if (name !== null) this.pass(name, topic, payload);
      return;
    }
    const packetId = packet.messageId ?? 0;
    if (packet.dup && this.adopt(session, packetId, topic, payload)) return;
    const message = new InboundMessage(this, this.turns, topic, payload, packetId, bytes.length, session);
    session.owe(message);
    // A command, or what a new subscription repeats: not for us.
    if (name === null || (packet.retain && session.isResumed)) return message.acknowledge();
    const device = this.options.names.known(name.kind, name.name);
    if (device !== undefined) this.open(message, name, device);
    else void this.openLater(message, name);
  }

  opened(bytes: number): void {
    this.inflight++;
    this.bytes += bytes;
  }

  closed(bytes: number): void {
    this.inflight--;
    this.bytes -= bytes;
  }

  /** A third time without a store: quarantine. Before, the connection is made anew, and the broker sends it again. */
  lapsed(pending: Pending): 'keep' | 'drop' {
    const { unsettled, log } = this.options;
    this.givenUp++;
    metrics.deliveriesGivenUp.inc();
    const { topic } = pending.delivery;
    const count = this.giveUps.count(pending.delivery);
    if (unsettled !== undefined && count >= GIVE_UPS_MAX) {
      log?.warn('No flow settled a message; it goes to quarantine', { topic, count });
      void this.quarantine(pending, unsettled);
      return 'keep';
    }
    log?.warn('No flow settled a message in time; the broker is asked for it again', { topic, count });
    pending.abandon('not settled by the flow');
    return 'drop';
  }

  /** The flow goes away: nothing is sent into it, no deadline runs. What comes meanwhile is bounded by the session. */
  pauseFlow(): void {
    this.waiting = true;
    this.readings.pause();
    this.messages.pause();
    this.rejected.pause();
  }

  /** It is there again, and gets what no store holds: that was lost when its nodes went, or kept back since. */
  resumeFlow(): void {
    if (this.isClosed) return;
    this.waiting = false;
    const now = elapsedMs();
    const readings: Delivery[] = [];
    const messages: Delivery[] = [];
    const rejected: Rejection[] = [];
    for (const pending of deliveries.unheld(this) as InboundMessage[]) {
      pending.offered = now;
      const { output, item } = pending.offer;
      if (output === 'rejected') rejected.push(item);
      else (output === 'readings' ? readings : messages).push(item);
    }
    // What is kept besides is open, and among these.
    this.readings.resume(readings, isUnawaited);
    this.messages.resume(messages, isUnawaited);
    this.rejected.resume(rejected, isUnawaited);
  }

  flush(): void {
    this.readings.flush();
    this.messages.flush();
    this.rejected.flush();
  }

  close(): void {
    clearInterval(this.sweeper);
    this.isClosed = true;
    deliveries.forget(this);
    this.publishMetrics();
  }

  /** Sent again after a reconnect while the first one is still being stored, or is stored already. */
  private adopt(session: InboundSession, id: number, topic: string, payload: string | Buffer): boolean {
    const before = this.left.get(id);
    this.left.delete(id);
    if (before === undefined || before.abandoned || !before.isSame(topic, payload)) return false;
    before.session = session;
    session.owe(before);
    return true;
  }

  private async openLater(message: InboundMessage, name: TopicName): Promise<void> {
    const { names, untilAnswered } = this.options;
    try {
      this.open(message, name, await untilAnswered(() => names.find(name.kind, name.name)));
    } catch (error) {
      // Closing, or the registry fails for a reason of its own: not acknowledged, it comes again.
      if (!this.isClosed) message.abandon(`the registry cannot be asked: ${String(error)}`);
    }
  }

  private open(message: InboundMessage, name: TopicName, device: NamedDevice | null): void {
    if (this.isClosed) return;
    this.received++;
    const known = device !== null && !device.revoked;
    const route = known ? classify(device.principal, message.topic) : null;
    const delivery = {
      delivery: 0,
      topic: message.topic,
      pattern: name.pattern,
      qos: 1 as const,
      payload: message.payload,
      received_at: Date.now(),
      device_id: known ? device.principal.device_id : '',
      meter_id: known ? device.principal.meter_id : '',
      user_id: known ? device.principal.user_id : null,
    };
    message.delivery = delivery;
    message.offered = elapsedMs();
    delivery.delivery = deliveries.open(message);
    metrics.mqttReceived.inc({ topic: route === null || route.kind === 'denied' ? 'unknown' : route.label });
    message.offer = offerOf(delivery, route?.kind, () => rejectionOf(delivery, name, device));
    const { output, item } = message.offer;
    if (output === 'rejected') this.rejected.add(item);
    else this[output].add(item);
  }

  /** QoS 0: as well as it can be. Nobody waits for it, and an unknown device's is dropped. */
  private pass(name: TopicName, topic: string, payload: string | Buffer): void {
    const hand = (device: NamedDevice | null): void => {
      if (this.isClosed) return;
      this.received++;
      const route = device === null || device.revoked ? null : classify(device.principal, topic);
      if (device === null || route === null || route.kind === 'denied') {
        metrics.mqttReceived.inc({ topic: 'unknown' });
        return;
      }
      metrics.mqttReceived.inc({ topic: route.label });
      const { device_id, meter_id, user_id } = device.principal;
      const received_at = Date.now();
      const { pattern } = route;
      const ids = { device_id, meter_id, user_id };
      const delivery = { delivery: 0, topic, pattern, qos: 0 as const, payload, received_at, ...ids };
      if (route.kind === 'reading') this.readings.add(delivery);
      else this.messages.add(delivery);
    };
    const device = this.options.names.known(name.kind, name.name);
    if (device !== undefined) hand(device);
    else this.options.names.find(name.kind, name.name).then(hand, () => undefined);
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
      this.options.log?.warn('A message that no flow settled could not be quarantined', {
        error: String(error),
      });
      deliveries.leaveTurn(pending);
      if (!this.isClosed) pending.abandon('not settled by the flow');
    }
  }

  private sweep(): void {
    const now = elapsedMs();
    const stalled = now - this.lastSweep > 4 * sweepMs;
    this.lastSweep = now;
    // After a stall of the process the flow has a turn first.
    if (!stalled) deliveries.sweep(this, now);
    this.publishMetrics();
  }

  private publishMetrics(): void {
    metrics.inflight.set(this.inflight);
    metrics.inflightBytes.set(this.bytes);
  }
}

function isUnawaited({ delivery }: Delivery | Rejection): boolean {
  return delivery === 0;
}

function offerOf(item: Delivery, kind: Route['kind'] | undefined, rejection: () => Rejection): Offer {
  if (kind === 'reading') return { output: 'readings', item };
  return kind === 'message' ? { output: 'messages', item } : { output: 'rejected', item: rejection() };
}

/** Nobody to ascribe it to: kept with its reason, replayed once the device is registered ([M-14]). */
function rejectionOf(delivery: Delivery, { kind, name }: TopicName, device: NamedDevice | null): Rejection {
  const { topic, qos, payload, received_at } = delivery;
  return {
    delivery: delivery.delivery,
    part: 0,
    device_id: delivery.device_id === '' ? null : delivery.device_id,
    meter_id: delivery.meter_id === '' ? null : delivery.meter_id,
    topic,
    qos,
    code: 'METER_UNKNOWN',
    reason: reasonOf(kind, name, device),
    payload,
    received_at,
  };
}

function reasonOf(kind: TopicName['kind'], name: string, device: NamedDevice | null): string {
  const what = kind === 'meter' ? 'meter_id or DRN' : 'id';
  const shown = name.length > 60 ? `${name.slice(0, 60)}…` : name;
  if (device === null) return `The topic names no device: none has the ${what} "${shown}".`;
  return device.revoked
    ? `The device of this topic, "${shown}", is revoked.`
    : 'No device speaks on this topic.';
}
