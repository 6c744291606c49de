import { covers } from '../devices/access.js';

/** More wildcards than this are not tried one by one: everything is forwarded, aedes finds who wants it. */
const WILDCARDS_MAX = 64;

/**
 * The filters of service accounts, connected or with a stored session. Devices hear commands only, which no device
 * publishes; so without a filter here a device's message needs no forwarding at all. A thousand that each wait for one
 * topic, as for answers to tokens, cost the others' messages one look.
 */
export class Interest {
  private readonly byClient = new Map<string, Set<string>>();
  /** How many want each. */
  private readonly topics = new Map<string, number>();
  private readonly wildcards = new Map<string, number>();

  add(clientId: string, filter: string): void {
    let filters = this.byClient.get(clientId);
    if (filters === undefined) this.byClient.set(clientId, (filters = new Set()));
    if (filters.has(filter)) return;
    filters.add(filter);
    const counts = this.countsOf(filter);
    counts.set(filter, (counts.get(filter) ?? 0) + 1);
  }

  remove(clientId: string, filter: string): void {
    if (this.byClient.get(clientId)?.delete(filter) !== true) return;
    const counts = this.countsOf(filter);
    const count = (counts.get(filter) ?? 1) - 1;
    if (count > 0) counts.set(filter, count);
    else counts.delete(filter);
  }

  removeClient(clientId: string): void {
    for (const filter of this.byClient.get(clientId) ?? []) this.remove(clientId, filter);
    this.byClient.delete(clientId);
  }

  matches(topic: string): boolean {
    if (this.topics.has(topic)) return true;
    if (this.wildcards.size > WILDCARDS_MAX) return true;
    for (const filter of this.wildcards.keys()) if (covers(filter, topic)) return true;
    return false;
  }

  private countsOf(filter: string): Map<string, number> {
    return /[+#]/.test(filter) ? this.wildcards : this.topics;
  }
}
