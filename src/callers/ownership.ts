/** Whose meters are named. */
export interface Ownership {
  /** Whether every one of these names is a meter of this user. One query at most. @throws DomainError DATABASE_UNAVAILABLE */
  readonly owns: (user_id: string, names: readonly string[]) => Promise<boolean>;
}

export type FindOwners = (names: readonly string[]) => Promise<ReadonlyMap<string, string | null>>;

export interface OwnershipOptions {
  /** So long an answer counts: a meter that changes hands is its new owner's after this. */
  readonly maxAgeMs?: number;
  readonly namesMax?: number;
  /** Ms that only rise. */
  readonly now?: () => number;
}

interface Known {
  readonly user_id: string | null;
  readonly until: number;
}

export function createOwnership(find: FindOwners, options: OwnershipOptions = {}): Ownership {
  const { maxAgeMs = 1_000, namesMax = 20_000, now = () => performance.now() } = options;
  const known = new Map<string, Known>();

  return {
    owns: async (user_id, names) => {
      const asked = now();
      const owners = new Map<string, string | null>();
      for (const name of names) {
        const found = known.get(name);
        if (found !== undefined && found.until > asked) owners.set(name, found.user_id);
      }
      const unknown = names.filter((name) => !owners.has(name));
      if (unknown.length > 0) {
        const found = await find(unknown);
        if (known.size + unknown.length > namesMax) known.clear();
        for (const name of unknown) {
          const owner = found.get(name) ?? null;
          owners.set(name, owner);
          known.set(name, { user_id: owner, until: asked + maxAgeMs });
        }
      }
      return names.length > 0 && names.every((name) => owners.get(name) === user_id);
    },
  };
}
