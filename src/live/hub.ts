import { metrics } from '../operation/metrics.js';
import { Audience, type Member } from './audience.js';
import { channelKinds, channelOf, type ChannelKind, type LiveEvent } from './event.js';
import { Journal, textOf, type Entry, type Window } from './journal.js';
import { selects, type Selection } from './selection.js';

/** Hears events inside this process, some at a time. */
export interface Listener {
  readonly selection: Selection;
  hear(events: readonly HeardEvent[]): void;
}

export type HeardEvent = LiveEvent & { readonly id: string };

/** Takes own events on to other instances: numbers of a channel from `first` on without a hole. */
export type Relay = (kind: ChannelKind, first: number, texts: readonly string[]) => void;

export interface HubOptions {
  /** Names this life of the process; of no more than `[a-z0-9]`. */
  readonly instance: string;
  readonly window: Window;
}

/** The next tick begins so many times later than the last one took: telling leaves most of the time to others. */
const restFactor = 2;
const restMaxMs = 25;

/**
 * Where what happened meets who wants to know. Events of a tick are told together, own ones and those of other
 * instances in one order; each is serialised once. While nobody listens, nor could come back, they are only counted.
 */
export class Hub {
  readonly journal: Journal;
  readonly #audience = new Audience();
  readonly #listeners = new Set<Listener>();
  readonly #numbers: Record<ChannelKind, number> = { market: 0, meter: 0 };
  /** Told already: everything before it. */
  #told = 0;
  #pending: Entry[] = [];
  /** Own entries of this tick, for the relay. */
  #outgoing: Record<ChannelKind, Entry[]> = { market: [], meter: [] };
  #relay: Relay | null = null;
  #timer: NodeJS.Timeout | NodeJS.Immediate | null = null;
  #since = 0;
  #notBefore = 0;
  #lastListened = -Infinity;

  constructor(readonly options: HubOptions) {
    this.journal = new Journal(options.instance, options.window);
  }

  get members(): number {
    return this.#audience.size;
  }

  /** Everything before this position is told to those who were there. */
  get told(): number {
    return this.#told;
  }

  /** Nobody listens, and nobody who did can still come back for what he missed. */
  get isResting(): boolean {
    if (this.#relay !== null || this.#audience.size > 0 || this.#listeners.size > 0) return false;
    return performance.now() - this.#lastListened > this.options.window.ageMaxMs;
  }

  /** What happened here, after its commit. `make` is called only when somebody may want it. */
  publish(count: number, make: () => readonly LiveEvent[]): void {
    if (count === 0) return;
    if (this.isResting) return this.#skip(count);
    const now = Date.now();
    for (const event of make()) {
      const kind = channelOf[event.event];
      const name = nameOf(kind, this.#numbers[kind]++, this.options.instance);
      const entry = this.#add(name, event, now);
      if (this.#relay !== null) this.#outgoing[kind].push(entry);
    }
  }

  /** What happened at another instance, in the order of its numbers; null: an event that only newer ones know. */
  relayed(instance: string, kind: ChannelKind, first: number, events: readonly (LiveEvent | null)[]): void {
    const now = Date.now();
    events.forEach((event, index) => {
      if (event !== null) this.#add(nameOf(kind, first + index, instance), event, now);
    });
  }

  /** The number that the next event of this channel gets. */
  nextNumber(kind: ChannelKind): number {
    return this.#numbers[kind];
  }

  relayTo(relay: Relay | null): void {
    this.#relay = relay;
  }

  /** Gets what comes from now on. */
  join(member: Member, selection: Selection): void {
    this.flush();
    this.#audience.join(member, selection);
  }

  leave(member: Member): void {
    this.#audience.leave(member);
    if (this.#audience.size === 0) this.#lastListened = performance.now();
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Tells those who hear this channel of something that is no event. */
  announce(kind: ChannelKind, frame: Buffer): void {
    this.flush();
    this.#audience.announce(frame, ({ events }) => [...events].some((event) => channelOf[event] === kind));
  }

  /** Keeps the journal for somebody who is still reading it. */
  keepAwake(): void {
    this.#lastListened = performance.now();
  }

  flush(): void {
    this.#stopTimer();
    const entries = this.#pending;
    if (entries.length === 0) return;
    this.#pending = [];
    const begun = performance.now();
    this.#told = this.journal.next;
    this.#passOn();
    this.#audience.tell(
      entries,
      (entry) => this.journal.frameOf(entry),
      (event, messages) => metrics.webSocketMessages.inc({ event_type: event }, messages),
    );
    this.#tellListeners(entries);
    const ended = performance.now();
    metrics.webSocketBroadcastSeconds.observe((ended - this.#since) / 1000);
    this.#notBefore = ended + Math.min((ended - begun) * restFactor, restMaxMs);
    this.journal.expire(Date.now());
  }

  close(): void {
    this.flush();
    this.#stopTimer();
    this.#relay = null;
  }

  #add(name: string, event: LiveEvent, now: number): Entry {
    const entry = this.journal.add(name, event, now);
    if (this.#pending.length === 0) this.#schedule();
    this.#pending.push(entry);
    return entry;
  }

  #skip(count: number): void {
    // Numbers of a channel may have holes only where nobody else counts them.
    this.journal.skip(count);
    this.#told = this.journal.next;
  }

  #schedule(): void {
    this.#since = performance.now();
    if (this.#timer !== null) return;
    const wait = this.#notBefore - this.#since;
    const tick = (): void => this.flush();
    this.#timer = wait < 1 ? setImmediate(tick) : setTimeout(tick, wait);
  }

  #stopTimer(): void {
    if (this.#timer === null) return;
    if ('refresh' in this.#timer) clearTimeout(this.#timer);
    else clearImmediate(this.#timer);
    this.#timer = null;
  }

  #passOn(): void {
    if (this.#relay === null) return;
    for (const kind of channelKinds) {
      const entries = this.#outgoing[kind];
      if (entries.length === 0) continue;
      this.#outgoing[kind] = [];
      this.#relay(kind, this.#numbers[kind] - entries.length, entries.map(textOf));
    }
  }

  #heard(entry: Entry): HeardEvent {
    const { event, data } = entry.event;
    return { id: this.journal.idOf(entry), event, data };
  }

  #tellListeners(entries: readonly Entry[]): void {
    for (const listener of this.#listeners) {
      const wanted = entries.filter(({ event }) => selects(listener.selection, event));
      if (wanted.length > 0) listener.hear(wanted.map((entry) => this.#heard(entry)));
    }
  }
}

function nameOf(kind: ChannelKind, number: number, instance: string): string {
  return `${kind === 'market' ? 'e' : 'u'}${number}-${instance}`;
}
