import type { LiveEvent } from './event.js';
import { textFrame } from './frame.js';

/** An event as this instance keeps it for those who come back. */
export interface Entry {
  /** Counted up by one in this instance. */
  readonly position: number;
  /** `{number}-{instance}` of where it happened: the same at every instance. */
  readonly name: string;
  /** Unix ms. */
  readonly at: number;
  readonly event: LiveEvent;
  /** `{"event":…,"data":…}`, and the frame around it with its id: made when the first one wants them. */
  text: string | null;
  frame: Buffer | null;
}

export interface Window {
  readonly entriesMax: number;
  readonly ageMaxMs: number;
}

/** Where to go on, or why that cannot be told. */
export type Found = { readonly from: number } | { readonly gap: 'expired' | 'unknown' };

/**
 * The last events of this instance, its own and those of others. An id is `{name}@{position}-{instance}`: exact at the
 * instance that gave it; at another one the name is looked up, and what came shortly before it is told again, since the
 * two may have heard it in another order.
 */
export class Journal {
  #entries: Entry[] = [];
  #start = 0;
  #next = 0;

  constructor(
    readonly instance: string,
    readonly window: Window,
  ) {}

  /** The position that the next event gets. */
  get next(): number {
    return this.#next;
  }

  add(name: string, event: LiveEvent, at: number): Entry {
    const entry: Entry = { position: this.#next++, name, at, event, text: null, frame: null };
    this.#entries.push(entry);
    if (this.#entries.length - this.#start > this.window.entriesMax) this.#drop(1);
    return entry;
  }

  /** Counts what nobody could ask for. */
  skip(count: number): void {
    this.#next += count;
    this.#entries = [];
    this.#start = 0;
  }

  /** Lets go of what is too old. */
  expire(now: number): void {
    let count = 0;
    while (now - (this.#entries[this.#start + count]?.at ?? now) > this.window.ageMaxMs) count++;
    this.#drop(count);
  }

  /** At most `most` entries from this position on; undefined when the first is gone. */
  slice(from: number, most: number): readonly Entry[] | undefined {
    const index = from - this.#first;
    if (index < 0) return undefined;
    return this.#entries.slice(this.#start + index, this.#start + index + most);
  }

  idOf({ name, position }: Entry): string {
    return `${name}@${position}-${this.instance}`;
  }

  frameOf(entry: Entry): Buffer {
    if (entry.frame === null) {
      entry.frame = textFrame(`${textOf(entry).slice(0, -1)},"id":"${this.idOf(entry)}"}`);
      entry.text = null;
    }
    return entry.frame;
  }

  /** @param overlapMs of a name that another instance gave */
  find(id: string, overlapMs: number): Found {
    const [name = '', place = ''] = id.split('@', 2);
    const [position = '', instance] = place.split('-', 2);
    if (instance === this.instance && /^\d{1,15}$/.test(position)) {
      const from = Number(position) + 1;
      if (from > this.#next) return { gap: 'unknown' };
      return from < this.#first ? { gap: 'expired' } : { from };
    }
    for (let index = this.#entries.length - 1; index >= this.#start; index--) {
      const found = this.#entries[index];
      if (found?.name === name) return { from: this.#earliest(index, found.at - overlapMs) };
    }
    return { gap: 'unknown' };
  }

  get #first(): number {
    return this.#next - (this.#entries.length - this.#start);
  }

  #earliest(index: number, at: number): number {
    let first = index;
    while (first > this.#start && (this.#entries[first - 1]?.at ?? 0) >= at) first--;
    return this.#entries[first]?.position ?? this.#next;
  }

  #drop(count: number): void {
    this.#start += count;
    // Now and then at once: a shift of each would move them all.
    if (this.#start < 1024 || this.#start < this.#entries.length / 2) return;
    this.#entries = this.#entries.slice(this.#start);
    this.#start = 0;
  }
}

export function textOf(entry: Entry): string {
  const { event, data } = entry.event;
  entry.text ??= `{"event":"${event}","data":${JSON.stringify(data)}}`;
  return entry.text;
}
