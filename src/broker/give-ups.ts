import { createHash } from 'node:crypto';

import type { Delivery } from './delivery.js';

/** Third time: the message is at fault, or a wire is missing; not worth a fourth reconnect ([M-13]). */
export const GIVE_UPS_MAX = 3;

/** Remembers, by content, how often no flow settled a message; the client sends it again under another id. */
export class GiveUps {
  private readonly counts = new Map<string, number>();

  constructor(private readonly entriesMax = 10_000) {}

  /** How many times now, this one included. */
  count(delivery: Delivery): number {
    const key = fingerprint(delivery);
    const count = (this.counts.get(key) ?? 0) + 1;
    this.counts.delete(key);
    this.counts.set(key, count);
    if (this.counts.size > this.entriesMax) {
      const oldest = this.counts.keys().next();
      if (oldest.done !== true) this.counts.delete(oldest.value);
    }
    return count;
  }

  forget(delivery: Delivery): void {
    this.counts.delete(fingerprint(delivery));
  }
}

function fingerprint(delivery: Delivery): string {
  return createHash('sha1')
    .update(`${delivery.device_id}\n${delivery.topic}\n`)
    .update(delivery.payload)
    .digest('base64');
}
