import type { Farewell, LiveLimits } from './limits.js';

/** The meters of these users, by user; who has none is absent. Rejects while that cannot be known. */
export type MetersOf = (userIds: readonly string[]) => Promise<ReadonlyMap<string, ReadonlySet<string>>>;

/** A listener who sees his own meters only. */
export interface Owner {
  owns(meters: ReadonlySet<string>): void;
  dismiss(why: Farewell): void;
}

export interface Ownership {
  /** Before anything is told. */
  first(userId: string): Promise<ReadonlySet<string>>;
  /** From now on he hears of what changes. */
  follow(userId: string, owner: Owner): void;
  unfollow(userId: string, owner: Owner): void;
  stop(): void;
}

const none: ReadonlySet<string> = new Set();

/** Asks again and again whose meters are whose: one question for all who listen, however many they are. */
export function watchOwnership(
  metersOf: MetersOf | undefined,
  { ownershipMs, ownershipMaxMs }: Pick<LiveLimits, 'ownershipMs' | 'ownershipMaxMs'>,
): Ownership {
  const owners = new Map<string, Set<Owner>>();
  let known = performance.now();
  let isAsking = false;

  async function ask(): Promise<void> {
    if (metersOf === undefined || owners.size === 0 || isAsking) return;
    isAsking = true;
    try {
      const meters = await metersOf([...owners.keys()]);
      known = performance.now();
      for (const [userId, group] of owners) for (const owner of group) owner.owns(meters.get(userId) ?? none);
    } catch {
      // What was true a while ago is better than silence, and worse than a lie.
      if (performance.now() - known > ownershipMaxMs)
        for (const group of owners.values()) for (const owner of group) owner.dismiss('unchecked');
    } finally {
      isAsking = false;
    }
  }

  const timer = setInterval(() => void ask(), ownershipMs);
  timer.unref();
  return {
    async first(userId) {
      if (metersOf === undefined) throw new Error('Nobody knows whose meters are whose.');
      const meters = await metersOf([userId]);
      if (owners.size === 0) known = performance.now();
      return meters.get(userId) ?? none;
    },
    follow(userId, owner) {
      const group = owners.get(userId);
      if (group === undefined) owners.set(userId, new Set([owner]));
      else group.add(owner);
    },
    unfollow(userId, owner) {
      const group = owners.get(userId);
      group?.delete(owner);
      if (group?.size === 0) owners.delete(userId);
    },
    stop: () => clearInterval(timer),
  };
}
