import type { Around, Latency } from '../prepaid/measured.js';
import type { Kind } from './plan.js';

export interface ApiEntry {
  readonly name: string;
  readonly about: string;
  readonly calls: number;
  readonly latency: Latency;
  readonly byKind: Readonly<Record<Kind, Latency>>;
  /** p99 of how late the bench itself was, ms. */
  readonly lateness: number | null;
  /** Other answers than 200 and 201, and how often each came. */
  readonly refused: Readonly<Record<string, number>>;
  /** Submissions answered with 201 … */
  readonly stored: number;
  /** … of which the table has none … */
  readonly lost: number;
  /** … and readings in the table more often than once, or other than sent. */
  readonly wrong: number;
  /** Of one call, ms: of its own processes, and of PostgreSQL's. */
  readonly cpu: { readonly own: number; readonly database: number };
  readonly memoryMiB: number;
  readonly around: Around;
}

export interface ApiReport {
  readonly perSecond: number;
  readonly meters: number;
  readonly rows: number;
  readonly entries: readonly ApiEntry[];
}
