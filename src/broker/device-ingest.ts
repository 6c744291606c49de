import type { DevicePrincipal } from '../devices/access.js';
import type { Batches } from './batches.js';
import type { Connection } from './connection.js';
import type { Delivery } from './delivery.js';
import { deliveries } from './deliveries.js';
import { InboundPublish, type PublishAcceptor } from './inbound-publish.js';
import { ACK, acknowledgement } from './packet/answers.js';
import { at, uint16 } from './packet/bytes.js';

export interface IngestHost {
  /** False while the flow is away or the bound on what is in flight is reached. */
  readonly isGateOpen: boolean;
  readonly received2Max: number;
  /** The device has used up its rate. */
  throttled(connection: Connection): void;
  publishDenied(connection: Connection, topic: string): void;
  /** A message is accepted: give it to subscribers, and retain it when asked. */
  forward(delivery: Delivery, retain: boolean): void;
}

/**
 * The way of a device's PUBLISH, without aedes: decode, judge the topic, open a delivery, batch it; and back: settle,
 * acknowledge. No closure, promise or timer per message.
 */
export class DeviceIngest {
  constructor(
    private readonly host: IngestHost,
    private readonly acceptor: PublishAcceptor,
    private readonly batches: Batches,
  ) {}

  /** Returns false when the packet has to wait. */
  publish(connection: Connection, buffer: Buffer, head: number, start: number, end: number): boolean {
    const principal = connection.principal as DevicePrincipal;
    const topicEnd = start + 2 + uint16(buffer, start);
    const known = connection.topics.find(principal, buffer, start + 2, topicEnd);
    const { route } = known;
    if (route.kind === 'denied') {
      this.host.publishDenied(connection, known.topic);
      return true;
    }
    if (!this.host.isGateOpen) return false;
    const now = connection.clock;
    if (connection.bucket?.take(now) === false) {
      this.host.throttled(connection);
      return false;
    }
    const first = at(buffer, head);
    const qos = ((first >> 1) & 3) as 0 | 1 | 2;
    const packetId = qos === 0 ? 0 : uint16(buffer, topicEnd);
    if (qos === 2 && !this.isNew(connection, packetId)) return true;

    const payloadStart = qos === 0 ? topicEnd : topicEnd + 2;
    const delivery = {
      delivery: 0,
      topic: known.topic,
      pattern: route.pattern,
      qos,
      payload: textOrBytes(buffer, payloadStart, end),
      received_at: connection.timeOfDay,
      device_id: principal.device_id,
      meter_id: principal.meter_id,
      user_id: principal.user_id,
    };
    const bytes = end - payloadStart;
    const retain = (first & 1) !== 0;
    known.received.count++;
    if (qos === 0) this.host.forward(delivery, retain);
    else delivery.delivery = this.open(connection, delivery, bytes, qos, packetId, retain);
    if (route.kind === 'reading') this.batches.reading(delivery, bytes);
    else this.batches.message(delivery, bytes);
    return true;
  }

  /** The outcome is committed: PUBACK or PUBREC when its turn comes, and the subscribers. */
  accepted(publish: InboundPublish): void {
    const { connection } = publish;
    if (publish.answer === ACK.pubrec) connection.session?.received2.set(publish.packetId, 'recorded');
    this.host.forward(publish.delivery, publish.retain);
    connection.acknowledged();
  }

  /** PUBREL: the QoS 2 id is free again. An unknown one is answered too ([MQTT-4.3.3-2], section 4.4). */
  release(connection: Connection, packetId: number): boolean {
    const received2 = connection.session?.received2;
    if (received2?.get(packetId) instanceof InboundPublish) {
      connection.close('PUBREL before PUBREC');
      return true;
    }
    if (received2?.delete(packetId) !== true && connection.bucket?.take(connection.clock) === false) {
      this.host.throttled(connection);
      return false;
    }
    connection.write(acknowledgement(ACK.pubcomp, packetId));
    return true;
  }

  private open(
    connection: Connection,
    delivery: Delivery,
    bytes: number,
    qos: 1 | 2,
    packetId: number,
    retain: boolean,
  ): number {
    const answer = qos === 1 ? ACK.puback : ACK.pubrec;
    const publish = new InboundPublish(this.acceptor, delivery, bytes, answer, packetId, retain, connection);
    connection.acks.push(publish);
    if (qos === 2) connection.session?.received2.set(packetId, publish);
    return deliveries.open(publish);
  }

  /** A repeated QoS 2 id is not a new message ([MQTT-4.3.3-2]): it only gets its PUBREC (again). */
  private isNew(connection: Connection, packetId: number): boolean {
    const { session, acks } = connection;
    const before = session?.received2.get(packetId);
    if (before === undefined) {
      if ((session?.received2.size ?? 0) < this.host.received2Max) return true;
      connection.close('too many QoS 2 messages without PUBREL');
      return false;
    }
    if (before === 'recorded') {
      acks.push({ acknowledged: true, answer: ACK.pubrec, packetId, offered: connection.clock });
      connection.acknowledged();
    } else if (before.connection !== connection) {
      // Sent again after a reconnect, while the first one is still being stored.
      before.connection = connection;
      acks.push(before);
    }
    return false;
  }
}

/** Text when it is UTF-8, else a copy of the bytes. The replacement character is rare, so checking twice is, too. */
export function textOrBytes(buffer: Buffer, start: number, end: number): string | Buffer {
  const text = buffer.toString('utf8', start, end);
  if (!text.includes('\ufffd')) return text;
  const bytes = buffer.subarray(start, end);
  return Buffer.from(text, 'utf8').equals(bytes) ? text : Buffer.from(bytes);
}
