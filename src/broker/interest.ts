import { covers } from '../devices/access.js';

/** More filters than this are not tried one by one: everything is forwarded, aedes finds who wants it. */
const FILTERS_MAX = 64;

/**
 * The filters of service accounts, connected or with a stored session. Devices hear commands only, which no device
 * publishes; so without a filter here a device's message needs no forwarding at all.
 */
export class Interest {
  private readonly byClient = new Map<string, Set<string>>();
  private readonly counts = new Map<string, number>();

  add(clientId: string, filter: string): void {
    let filters = this.byClient.get(clientId);
    if (filters === undefined) this.byClient.set(clientId, (filters = new Set()));
    if (filters.has(filter)) return;
    filters.add(filter);
    this.counts.set(filter, (this.counts.get(filter) ?? 0) + 1);
  }

  remove(clientId: string, filter: string): void {
    if (this.byClient.get(clientId)?.delete(filter) !== true) return;
    const count = (this.counts.get(filter) ?? 1) - 1;
    if (count > 0) this.counts.set(filter, count);
    else this.counts.delete(filter);
  }

  removeClient(clientId: string): void {
    for (const filter of this.byClient.get(clientId) ?? []) this.remove(clientId, filter);
    this.byClient.delete(clientId);
  }

  matches(topic: string): boolean {
    if (this.counts.size === 0) return false;
    if (this.counts.size > FILTERS_MAX) return true;
    for (const filter of this.counts.keys()) if (covers(filter, topic)) return true;
    return false;
  }
}
