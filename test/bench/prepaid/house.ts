import type { FoundBook } from './books.js';
import type { PlannedPayment } from './payments.js';

/** Where a contestant keeps prepaid meters, seen by the bench. */
export interface House {
  /** Gives each of its meters the balance that the load begins with. */
  fund(meterIds: readonly string[]): Promise<void>;
  /** As if customers had been asked for these payments. */
  openPrompts(payments: readonly PlannedPayment[]): Promise<void>;
  /** How many payments and reports were written so far, repeats among them. */
  writes(): Promise<number>;
  books(): Promise<ReadonlyMap<string, FoundBook>>;
  /** @throws Error when the books contradict themselves */
  audit(): Promise<void>;
  close(): Promise<void>;
}
