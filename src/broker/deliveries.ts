import type { Session } from '../database/database.js';
import { elapsedMs } from './clock.js';
import type { Delivery } from './delivery.js';
import type { Turns } from './turns.js';

/** One acknowledgement that is owed. Methods on a prototype, not closures: 60,000 of these are made per second. */
export interface Pending {
  /** Set by the table. */
  id: number;
  /** When it was last offered to the flow, by the broker's elapsed clock, as all times here. */
  offered: number;
  /** Since when a store works on it, or on a part of it; 0 while none does. */
  held: number;
  /** Set when the client was closed because of it; the store may still settle it. */
  abandoned: boolean;
  /** A byte for each part of a split delivery, see `part`. */
  parts: Uint8Array | null;
  /** Parts that are not settled, held ones included. */
  partsOpen: number;
  partsHeld: number;
  /** Parts that are in quarantine; without parts, 1 when all of it is. */
  refused: number;
  /** `settled`: its outcome is committed, it waits for its turn; `entered`: the journal has it; `gone`: left the table. */
  state: 'open' | 'settled' | 'entered' | 'gone';
  /** Those of its session, while a journal is kept. */
  turns: Turns | null;
  readonly bytes: number;
  readonly delivery: Delivery;
  readonly owner: DeliveryOwner;
  /** How long a hold may last before the client would think the broker dead. */
  holdLimitMs(): number;
  /** The order of its session, made when it is first asked for; null when there is none to keep. */
  turnsOfClient(): Turns | null;
  /** The outcome is committed. */
  acknowledge(): void;
  /** It will not be acknowledged: close the client, it sends again. */
  abandon(reason: string): void;
}

/** Where accepted messages are kept for a forwarder before they are acknowledged ([L-2]). */
export interface Journal {
  /** In the order of the calls; each is acknowledged (`DeliveryTable.acknowledge`) once it is committed. */
  add(pending: Pending): void;
  /** Takes those of QoS 0, for which nobody waits; passes over the others. */
  pass(items: readonly Passing[]): void;
  /** In a transaction of the caller's, together with what makes it accepted: a message that was in quarantine. */
  write(tx: Session, message: Omit<Delivery, 'delivery' | 'pattern' | 'user_id'> & Replayed): Promise<void>;
}

interface Replayed {
  readonly replayed: true;
  /** How many of its readings are refused still. */
  readonly refused: number;
}

/** What a store has accepted: a message, or a reading of one. Only those of QoS 0 pass. */
export type Passing = Pick<Delivery, 'topic' | 'qos' | 'received_at'> & {
  /** Null: not from a device over MQTT. */
  readonly device_id: string | null;
  readonly meter_id: string;
  /** Of a reading in Protobuf its own bytes, see `message`. */
  readonly payload?: string | Buffer;
  readonly message?: string | Buffer;
};

/** What a part of a split delivery is. */
const part = { offered: 0, held: 1, settled: 2 } as const;

/** The broker that a delivery belongs to: keeps the bounds and judges what no flow settled. */
export interface DeliveryOwner {
  readonly flowDeadlineMs: number;
  /** While the flow is away (redeploy) no deadline runs. */
  readonly waiting: boolean;
  opened(bytes: number): void;
  closed(bytes: number): void;
  /** The flow never settled it. `keep`: the owner settles it later by itself. */
  lapsed(pending: Pending): 'keep' | 'drop';
}

export interface DeliveryStats {
  readonly inflight: number;
  readonly bytes: number;
  /** Age of the oldest hold in ms, 0 when nothing is held. */
  readonly heldOldestMs: number;
  readonly givenUp: number;
  readonly settled: number;
}

/**
 * What is in flight, by delivery id. A Node-RED message carries the number only, because messages are cloned; this
 * table finds the socket again. It outlives node instances, so that a redeploy loses nothing.
 */
export class DeliveryTable {
  private readonly open_ = new Map<number, Pending>();
  private last = 0;
  private bytes = 0;
  private givenUp = 0;
  private settled = 0;
  private journal_: Journal | null = null;

  /** Null while nobody forwards, which then costs nothing. */
  get journal(): Journal | null {
    return this.journal_;
  }

  /** Without one, what waits for its turn is acknowledged; what a journal has, that one still acknowledges. */
  keepJournal(journal: Journal | null): void {
    this.journal_ = journal;
    if (journal !== null) return;
    for (const pending of this.open_.values()) if (pending.state === 'settled') this.acknowledge(pending);
  }

  open(pending: Pending): number {
    const id = ++this.last;
    pending.id = id;
    if (this.journal_ !== null) {
      pending.turns = pending.turnsOfClient();
      pending.turns?.join(pending);
    }
    this.open_.set(id, pending);
    this.bytes += pending.bytes;
    pending.owner.opened(pending.bytes);
    return id;
  }

  /** Nobody knows when it will be settled: the others of its client do not wait for it. */
  leaveTurn(pending: Pending): void {
    const { turns } = pending;
    pending.turns = null;
    if (this.journal_ !== null) turns?.advance(this.journal_);
  }

  /** One delivery, many readings: acknowledged when each part (0 … parts-1) is settled. Again: no change. */
  split(id: number, parts: number): void {
    const pending = this.open_.get(id);
    if (pending?.state !== 'open' || pending.parts !== null || parts < 1) return;
    pending.parts = new Uint8Array(parts);
    pending.partsOpen = parts;
  }

  /** A part that a store works on, or has committed: what is offered again is spared the same once more. */
  isTaken(id: number, index: number): boolean {
    const parts = this.open_.get(id)?.parts;
    return parts !== undefined && parts !== null && parts[index] !== part.offered;
  }

  /** A store works on it: the flow's deadline no longer applies, the hold deadline does. Without a part: on all. */
  hold(id: number, index?: number): void {
    const pending = this.open_.get(id);
    if (pending === undefined) return;
    if (pending.parts !== null && index !== undefined) {
      if (pending.parts[index] !== part.offered) return;
      pending.parts[index] = part.held;
      pending.partsHeld++;
    }
    if (pending.held === 0) pending.held = elapsedMs();
  }

  /**
   * The store gives it back: it failed for another reason than an absent database, refused it, or its node closes. The
   * flow's deadline runs again from now; a new flow is offered it.
   */
  release(id: number, index?: number): void {
    const pending = this.open_.get(id);
    if (pending?.state !== 'open' || pending.held === 0) return;
    if (pending.parts !== null && index !== undefined) {
      if (pending.parts[index] !== part.held) return;
      pending.parts[index] = part.offered;
      pending.partsHeld--;
    }
    this.letGo(pending);
  }

  /**
   * The outcome of a delivery, or of one part, is committed; `refused`: in quarantine. Unknown ids and repeats are
   * ignored. What a journal is kept of is acknowledged once it is in there, too; what is refused as a whole never is.
   */
  settle(id: number, index?: number, outcome: 'accepted' | 'refused' = 'accepted'): void {
    const pending = this.open_.get(id);
    if (pending?.state !== 'open') return;
    const isRefused = outcome === 'refused';
    if (pending.parts !== null && index !== undefined) {
      const before = pending.parts[index];
      if (before === undefined || before === part.settled) return;
      pending.parts[index] = part.settled;
      if (before === part.held) pending.partsHeld--;
      if (isRefused) pending.refused++;
      // The other parts are somebody else's.
      if (--pending.partsOpen > 0) return this.letGo(pending);
    } else if (isRefused) pending.refused = pending.parts?.length ?? 1;
    if (this.journal_ === null || pending.refused === (pending.parts?.length ?? 1)) this.acknowledge(pending);
    else this.awaitJournal(pending, this.journal_);
  }

  /** Its outcome is committed, and it is in the journal if one is kept. */
  acknowledge(pending: Pending): void {
    if (pending.state === 'gone') return;
    this.remove(pending);
    this.settled++;
    pending.acknowledge();
  }

  /** Deliveries of an owner of which no store holds all, oldest first: what a new flow is offered again. */
  unheld(owner: DeliveryOwner): Pending[] {
    return this.filter(owner, ({ held, partsHeld, partsOpen }) => held === 0 || partsHeld < partsOpen);
  }

  /** How many deliveries of an owner a store works on. */
  held(owner: DeliveryOwner): number {
    return this.filter(owner, ({ held }) => held > 0).length;
  }

  /** Applies the deadlines; called about once a second by each broker for its own deliveries. */
  sweep(owner: DeliveryOwner, now: number): void {
    if (owner.waiting) return;
    for (const pending of this.open_.values()) {
      if (pending.owner !== owner) continue;
      if (pending.held === 0) {
        if (now - pending.offered > owner.flowDeadlineMs) this.lapse(pending, now);
      } else if (!pending.abandoned && now - pending.held > pending.holdLimitMs()) {
        // It stays in the table, and in the bound, until the store has settled it.
        pending.abandoned = true;
        pending.abandon('hold outlasted the keep-alive');
      }
    }
  }

  /** Forgets the deliveries of a broker that is closed. */
  forget(owner: DeliveryOwner): void {
    for (const pending of this.open_.values()) if (pending.owner === owner) this.remove(pending);
  }

  get inflight(): number {
    return this.open_.size;
  }

  stats(): DeliveryStats {
    const now = elapsedMs();
    let oldest = now;
    for (const pending of this.open_.values()) {
      if (pending.held > 0 && pending.held < oldest) oldest = pending.held;
    }
    return {
      inflight: this.open_.size,
      bytes: this.bytes,
      heldOldestMs: now - oldest,
      givenUp: this.givenUp,
      settled: this.settled,
    };
  }

  private filter(owner: DeliveryOwner, matches: (pending: Pending) => boolean): Pending[] {
    return [...this.open_.values()].filter((pending) => pending.owner === owner && matches(pending));
  }

  /** Still held: the database may be away. Only its acknowledgement is missing, so no flow is offered it again. */
  private awaitJournal(pending: Pending, journal: Journal): void {
    pending.state = 'settled';
    if (pending.held === 0) pending.held = elapsedMs();
    pending.partsOpen = 0;
    pending.partsHeld = 0;
    if (pending.turns === null) enter(pending, journal);
    else pending.turns.advance(journal);
  }

  /** Unless a store holds another part of it. */
  private letGo(pending: Pending): void {
    if (pending.held === 0 || pending.partsHeld > 0) return;
    pending.held = 0;
    pending.offered = elapsedMs();
  }

  private lapse(pending: Pending, now: number): void {
    this.givenUp++;
    if (pending.owner.lapsed(pending) === 'drop') return this.remove(pending);
    pending.held = now;
    // All of it is the owner's now.
    pending.parts = pending.parts?.map((state) => (state === part.settled ? state : part.held)) ?? null;
    pending.partsHeld = pending.partsOpen;
  }

  private remove(pending: Pending): void {
    this.open_.delete(pending.id);
    pending.state = 'gone';
    if (this.journal_ !== null) pending.turns?.advance(this.journal_);
    this.bytes -= pending.bytes;
    pending.owner.closed(pending.bytes);
  }
}

/** Its turn has come. */
export function enter(pending: Pending, journal: Journal): void {
  pending.state = 'entered';
  journal.add(pending);
}

/** The one table of this process. */
export const deliveries = new DeliveryTable();
