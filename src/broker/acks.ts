/** An acknowledgement in its place in the queue; written once it and all before it are `acknowledged`. */
export interface Owed {
  acknowledged: boolean;
  /** First byte of PUBACK or PUBREC. */
  readonly answer: number;
  readonly packetId: number;
  /** When the PUBLISH came, by the broker's elapsed clock. */
  readonly offered: number;
}

/** Acknowledgements of one client, in the order its packets came ([M-13], [MQTT-4.6.0-2], [MQTT-4.6.0-3]). */
export class AckQueue {
  private owed: Owed[] = [];
  private head = 0;

  get length(): number {
    return this.owed.length - this.head;
  }

  get isReady(): boolean {
    return this.owed[this.head]?.acknowledged === true;
  }

  push(owed: Owed): void {
    this.owed.push(owed);
  }

  /** The bytes of all that may leave now, and when the oldest of them arrived; null when nothing may. */
  take(): { bytes: Buffer; oldest: number; count: number } | null {
    const { owed, head } = this;
    let end = head;
    while (owed[end]?.acknowledged === true) end++;
    const oldest = owed[head];
    if (end === head || oldest === undefined) return null;
    const bytes = Buffer.allocUnsafe((end - head) * 4);
    let position = 0;
    for (let i = head; i < end; i++) {
      const { answer, packetId } = owed[i] as Owed;
      bytes[position++] = answer;
      bytes[position++] = 2;
      bytes[position++] = packetId >> 8;
      bytes[position++] = packetId & 0xff;
    }
    this.head = end;
    if (end === owed.length) {
      this.owed = [];
      this.head = 0;
    } else if (end > 1024) {
      this.owed = owed.slice(end);
      this.head = 0;
    }
    return { bytes, oldest: oldest.offered, count: end - head };
  }
}
