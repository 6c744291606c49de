import { eventNames, type EventName } from './event.js';
import type { Entry } from './journal.js';
import { keyOf, type Selection } from './selection.js';

/** One client. */
export interface Member {
  /** Frames of whole events, in order. Must not throw and never waits. */
  take(frames: Buffer): void;
}

/** Members who want the same: what they get is put together once. */
interface Group {
  readonly key: string;
  readonly selection: Selection;
  readonly members: Set<Member>;
  /** Of the present tick. */
  frames: Buffer[];
  bytes: number;
  readonly counts: Map<EventName, number>;
}

/** So many messages of a kind went out: one for each client. */
export type Sent = (event: EventName, messages: number) => void;

/** Who gets what: an event asks for its meter and finds who wants it, however many others there are. */
export class Audience {
  readonly #groups = new Map<string, Group>();
  readonly #groupOf = new Map<Member, Group>();
  readonly #ofAllMeters = new Map<EventName, Set<Group>>(eventNames.map((name) => [name, new Set()]));
  readonly #ofMeter = new Map<string, Set<Group>>();

  get size(): number {
    return this.#groupOf.size;
  }

  /** Also for one who wants something else from now on. */
  join(member: Member, selection: Selection): void {
    this.leave(member);
    const key = keyOf(selection);
    const group = this.#groups.get(key) ?? this.#open(key, selection);
    group.members.add(member);
    this.#groupOf.set(member, group);
  }

  leave(member: Member): void {
    const group = this.#groupOf.get(member);
    if (group === undefined) return;
    this.#groupOf.delete(member);
    group.members.delete(member);
    if (group.members.size === 0) this.#close(group);
  }

  /** Gives everybody his of these entries, as one piece. */
  tell(entries: readonly Entry[], frameOf: (entry: Entry) => Buffer, sent: Sent): void {
    const touched = new Set<Group>();
    for (const entry of entries) {
      const { event, data } = entry.event;
      for (const group of this.#ofAllMeters.get(event) ?? []) add(touched, group, event, frameOf(entry));
      if (data.meter_id === null) continue;
      for (const group of this.#ofMeter.get(data.meter_id) ?? [])
        if (group.selection.events.has(event)) add(touched, group, event, frameOf(entry));
    }
    for (const group of touched) deliver(group, sent);
  }

  announce(frame: Buffer, isFor: (selection: Selection) => boolean): void {
    for (const { selection, members } of this.#groups.values())
      if (isFor(selection)) for (const member of members) member.take(frame);
  }

  #open(key: string, selection: Selection): Group {
    const group: Group = { key, selection, members: new Set(), frames: [], bytes: 0, counts: new Map() };
    this.#groups.set(key, group);
    if (selection.meters === null)
      for (const event of selection.events) this.#ofAllMeters.get(event)?.add(group);
    else
      for (const meter of selection.meters) {
        const groups = this.#ofMeter.get(meter);
        if (groups === undefined) this.#ofMeter.set(meter, new Set([group]));
        else groups.add(group);
      }
    return group;
  }

  #close(group: Group): void {
    this.#groups.delete(group.key);
    for (const event of group.selection.events) this.#ofAllMeters.get(event)?.delete(group);
    for (const meter of group.selection.meters ?? []) {
      const groups = this.#ofMeter.get(meter);
      groups?.delete(group);
      if (groups?.size === 0) this.#ofMeter.delete(meter);
    }
  }
}

function add(touched: Set<Group>, group: Group, event: EventName, frame: Buffer): void {
  touched.add(group);
  group.frames.push(frame);
  group.bytes += frame.length;
  group.counts.set(event, (group.counts.get(event) ?? 0) + 1);
}

function deliver(group: Group, sent: Sent): void {
  const [first] = group.frames;
  if (first === undefined) return;
  const frames = group.frames.length === 1 ? first : Buffer.concat(group.frames, group.bytes);
  group.frames = [];
  group.bytes = 0;
  for (const [event, count] of group.counts) sent(event, count * group.members.size);
  group.counts.clear();
  for (const member of group.members) member.take(frames);
}
