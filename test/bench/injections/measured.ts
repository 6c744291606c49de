import type { Around, Latency } from '../prepaid/measured.js';
import { describe, describeAround } from '../prepaid/measured.js';
import type { Verdicts } from './judge.js';
import type { RecordsAudit } from './records.js';

export interface InjectionsMeasured {
  readonly step: string;
  readonly calls: number;
  /** Told of a success, by the seconds. */
  readonly appliedPerSecond: number;
  /** From the instant a call was due to its answer, less the meter's own time. */
  readonly overhead: Latency;
  readonly waitingMean: number;
  readonly waitingMost: number;
  readonly verdicts: Verdicts;
  readonly examples: readonly string[];
  readonly repeats: number;
  readonly connectionsLost: readonly string[];
  readonly playersCpuShare: number;
  readonly around: Around;
}

export interface InjectionsEntry {
  readonly name: string;
  readonly about: string;
  /** One, a hundred, about a thousand that wait. */
  readonly levels: readonly InjectionsMeasured[];
  readonly flood: InjectionsMeasured;
  /** kB of one that waits. */
  readonly kbPerWaiting: number;
  readonly random: InjectionsMeasured;
  /** Ours. */
  readonly audit: RecordsAudit | null;
}

export interface InjectionsReport {
  readonly meters: number;
  readonly ours: InjectionsEntry;
  readonly peers: readonly InjectionsEntry[];
}

export function describeInjections(measured: InjectionsMeasured): string {
  const { step, calls, appliedPerSecond, overhead, verdicts, waitingMean, waitingMost, around } = measured;
  const waiting = `${Math.round(waitingMean)} waiting (at most ${waitingMost})`;
  return (
    `${step}: ${calls} calls, ${Math.round(appliedPerSecond)}/s applied, ${waiting}, overhead ${describe(overhead)}, ` +
    `${verdicts.right === calls ? 'all right' : describeVerdicts(verdicts)}; ${describeAround(around)}, players ${Math.round(measured.playersCpuShare * 100)} %`
  );
}

function describeVerdicts(verdicts: Verdicts): string {
  const { right, ...wrong } = verdicts;
  const told = Object.entries(wrong).filter(([, count]) => count > 0);
  return [`${right} right`, ...told.map(([name, count]) => `${count} ${name}`)].join(', ');
}
