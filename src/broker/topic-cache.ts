import type { DevicePrincipal, Route } from '../devices/access.js';
import { classify } from '../devices/access.js';

export interface KnownTopic {
  readonly topic: string;
  readonly route: Route;
  /** Shared by all clients of one label; the sweep moves it into the metrics. */
  readonly received: { count: number };
}

/** A device mostly repeats its last topic: comparing 30 bytes is cheaper than decoding and judging them again. */
export class TopicCache {
  private bytes: Buffer = Buffer.alloc(0);
  private known: KnownTopic | null = null;

  constructor(private readonly counterOf: (label: string) => { count: number }) {}

  find(principal: DevicePrincipal, buffer: Buffer, start: number, end: number): KnownTopic {
    if (this.known !== null && this.isLast(buffer, start, end)) return this.known;
    const topic = buffer.toString('utf8', start, end);
    const route = classify(principal, topic);
    this.known = { topic, route, received: this.counterOf(route.kind === 'denied' ? 'denied' : route.label) };
    this.bytes = Buffer.from(buffer.subarray(start, end));
    return this.known;
  }

  /** After a change of the device's names. */
  clear(): void {
    this.known = null;
  }

  private isLast(buffer: Buffer, start: number, end: number): boolean {
    const { bytes } = this;
    if (end - start !== bytes.length) return false;
    for (let i = 0; i < bytes.length; i++) if (bytes[i] !== buffer[start + i]) return false;
    return true;
  }
}
