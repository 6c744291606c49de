/** One timer for all: each member is called once a round, and a round's calls are spread evenly over it. */
export interface TimerWheel<Member> {
  add(member: Member): void;
  remove(member: Member): void;
  stop(): void;
  readonly size: number;
}

const slotMs = 50;

/**
 * A slot that comes late is made up for, so that every member has its turn in every round; after a longer stop of the
 * process one round is made up for, not all.
 */
export function startTimerWheel<Member>(
  roundMs: number,
  turn: (member: Member) => void,
  everySlot: () => void = () => {},
): TimerWheel<Member> {
  const slots = Array.from({ length: Math.max(1, Math.round(roundMs / slotMs)) }, () => new Set<Member>());
  const places = new Map<Member, Set<Member>>();
  const startedAt = performance.now();
  /** Slots served since the start. */
  let served = 0;
  /** Where the next member goes: round and round, so that the slots are of one size. */
  let next = 0;
  const timer = setInterval(() => {
    everySlot();
    const due = Math.floor((performance.now() - startedAt) / slotMs);
    if (due - served > slots.length) served = due - slots.length;
    for (; served < due; served += 1) for (const member of slots[served % slots.length] ?? []) turn(member);
  }, slotMs);

  return {
    add(member) {
      const slot = slots[next];
      if (slot === undefined || places.has(member)) return;
      slot.add(member);
      places.set(member, slot);
      next = (next + 1) % slots.length;
    },
    remove(member) {
      places.get(member)?.delete(member);
      places.delete(member);
    },
    stop: () => clearInterval(timer),
    get size() {
      return places.size;
    },
  };
}
