import { elapsedMs } from '../broker/clock.js';
import { metrics } from '../operation/metrics.js';
import type { InboundMessage } from './message.js';

/** Payloads that wait for their commit. */
const bytesMax = 64 * 1024 * 1024;

/** The PUBACKs that one connection owes, in the order in which the messages came ([MQTT-4.6.0-2]). */
export class OwedAcknowledgements {
  /** By packet id. */
  readonly waiting = new Map<number, InboundMessage>();
  private owed: InboundMessage[] = [];
  private head = 0;
  private bytes = 0;

  constructor(private readonly inflightMax: number) {}

  add(message: InboundMessage): void {
    this.owed.push(message);
    this.bytes += message.bytes;
    this.waiting.set(message.packetId, message);
  }

  /** @param part of what may wait: 1 for all of it */
  isFull(part: number): boolean {
    return this.owed.length - this.head >= part * this.inflightMax || this.bytes >= part * bytesMax;
  }

  /** What may leave now: the PUBACKs of the oldest ones, up to the first that is not settled. Undefined: none. */
  take(): Buffer | undefined {
    const { owed, head } = this;
    let end = head;
    while (owed[end]?.acknowledged === true) end++;
    const oldest = owed[head];
    if (end === head || oldest === undefined) return undefined;
    const bytes = Buffer.allocUnsafe((end - head) * 4);
    for (let i = head, position = 0; i < end; i++) {
      const message = owed[i] as InboundMessage;
      position = bytes.writeUInt16BE(0x4002, position);
      position = bytes.writeUInt16BE(message.packetId, position);
      this.bytes -= message.bytes;
      if (this.waiting.get(message.packetId) === message) this.waiting.delete(message.packetId);
    }
    metrics.deliveriesSettled.inc(end - head);
    metrics.deliverySeconds.observe((elapsedMs() - oldest.arrived) / 1000);
    this.head = end;
    if (end === owed.length || end > 1024) {
      this.owed = owed.slice(end);
      this.head = 0;
    }
    return bytes;
  }
}
