import { randomUUID } from 'node:crypto';
import { unpack, type ForwardedMessage } from './frame.js';
import { encodeHeaders, messageId } from './headers.js';
import type { Publisher } from './publisher.js';
import { isTooLong, subjectOf } from './subject.js';

interface Waiting {
  readonly message: ForwardedMessage;
  readonly id: string;
}

export interface PassingCounts {
  passed(messages: number): void;
  dropped(messages: number, details: string): void;
}

/** Messages of QoS 0 on their way: as well as it can be. While NATS is away the latest ones wait, in a bound. */
export class PassingQueue {
  private waiting: Waiting[] = [];
  private readonly underWay = new Set<Waiting>();
  private publisher: Publisher | null = null;
  private isPumping = false;
  private readonly uid = randomUUID();
  private count = 0;

  constructor(
    private readonly prefix: string,
    private readonly waitingMax: number,
    private readonly counts: PassingCounts,
  ) {}

  add(body: Buffer): void {
    for (const message of unpack(body)) {
      this.waiting.push({ message, id: messageId(message, `${this.uid}:${++this.count}`) });
    }
    this.bound();
    void this.pump();
  }

  /** A connection is there; those under way at its end are sent again under the same id. */
  use(publisher: Publisher | null): void {
    this.publisher = publisher;
    if (this.underWay.size > 0) this.waiting = [...this.underWay, ...this.waiting];
    this.underWay.clear();
    this.bound();
    void this.pump();
  }

  private bound(): void {
    const excess = this.waiting.length - this.waitingMax;
    if (excess <= 0) return;
    this.waiting = this.waiting.slice(excess);
    this.counts.dropped(excess, `more than ${this.waitingMax} wait for NATS`);
  }

  private async pump(): Promise<void> {
    if (this.isPumping) return;
    this.isPumping = true;
    for (
      let publisher = this.publisher;
      publisher !== null && this.waiting.length > 0;
      publisher = this.publisher
    ) {
      if (publisher.problem !== null) break;
      if (!publisher.hasRoom) {
        await publisher.room();
        continue;
      }
      const batch = this.waiting.splice(0, 100);
      for (const one of batch) this.send(one, publisher);
    }
    this.isPumping = false;
  }

  private send(one: Waiting, publisher: Publisher): void {
    const subject = subjectOf(this.prefix, one.message.topic);
    const headers = encodeHeaders(one.message, one.id, isTooLong(this.prefix, subject));
    this.underWay.add(one);
    publisher.send(subject, headers, one.message.payload, {
      stored: () => {
        if (this.underWay.delete(one)) this.counts.passed(1);
      },
      refused: (reason) => {
        if (this.underWay.delete(one)) this.counts.dropped(1, `${subject}: ${reason}`);
      },
    });
  }
}
