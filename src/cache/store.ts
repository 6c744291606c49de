/** Where an answer is kept: all that is kept of one meter or user is under one key, and is forgotten together. */
export interface Place {
  readonly key: string;
  /** Which answer. */
  readonly part: string;
}

/**
 * The right to keep what is read from now on. It ends when the key is forgotten, so an answer that was read before a
 * write is never kept after it.
 */
export interface Lease extends Place {
  /** Whoever finds the same one here later may share the reading that began under it: nothing was forgotten since. */
  readonly token: string;
  /** False: another process has it, and keeps its answer. */
  readonly isOurs: boolean;
}

/** `text`: kept, and true. `lease`: to be read. Null: nobody can say, the store is away. */
export type Looked = { readonly text: string } | { readonly lease: Lease } | null;

export interface Store {
  look(place: Place): Looked | Promise<Looked>;
  /** @returns false when it was refused, since it may be old */
  keep(lease: Lease, text: string, ttlMs: number): boolean | Promise<boolean>;
  /** Nothing will be kept under it. */
  release(lease: Lease): void;
  /**
   * @param keys null: all of them
   * @returns how many entries are gone, and whether they are so for every process
   */
  forget(keys: readonly string[] | null): Forgotten | Promise<Forgotten>;
  /** Why it cannot be used, for people; null while it can. */
  readonly problem: string | null;
  close(): Promise<void>;
}

export interface Forgotten {
  readonly entries: number;
  readonly isShared: boolean;
}

/** Longer than a question to the database may take; an answer that comes later is given, but not kept. */
export const leaseMs = 15_000;
