import { at, uint16 } from './packet/bytes.js';
import { PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL } from './packet/check.js';

type Awaited = typeof PUBACK | typeof PUBREC | typeof PUBCOMP;

/**
 * The QoS 1 and 2 messages that a client has not acknowledged yet. It tells a wrong acknowledgement (a PUBREC for a
 * QoS 1 message, say) from a right or a superfluous one ([MQTT-4.3.2-1], [MQTT-4.3.3-1]).
 */
export class Outbound {
  private readonly awaited = new Map<number, Awaited>();
  published = 0;

  get unacknowledged(): number {
    return this.awaited.size;
  }

  /** Notes what whole packets on their way to the client will be answered with. */
  note(packets: Buffer): void {
    let position = 0;
    while (position < packets.length) {
      const first = at(packets, position);
      let length = 0;
      let factor = 1;
      let next = position + 1;
      for (; ; factor *= 128) {
        const byte = at(packets, next++);
        length += (byte & 0x7f) * factor;
        if (byte < 0x80) break;
      }
      if (first >> 4 === PUBLISH) this.notePublish(packets, first, next);
      else if (first >> 4 === PUBREL) this.awaited.set(uint16(packets, next), PUBCOMP);
      position = next + length;
    }
  }

  /** `wrong` when the client answers with another packet type than the message calls for. */
  accepts(type: number, packetId: number): 'awaited' | 'superfluous' | 'wrong' {
    const awaited = this.awaited.get(packetId);
    if (awaited === undefined) return 'superfluous';
    // A PUBREC may come again until its PUBREL arrives.
    if (awaited !== type) return awaited === PUBCOMP && type === PUBREC ? 'awaited' : 'wrong';
    if (type !== PUBREC) this.awaited.delete(packetId);
    return 'awaited';
  }

  private notePublish(packets: Buffer, first: number, start: number): void {
    this.published++;
    const qos = (first >> 1) & 3;
    if (qos === 0) return;
    this.awaited.set(uint16(packets, start + 2 + uint16(packets, start)), qos === 1 ? PUBACK : PUBREC);
  }
}
