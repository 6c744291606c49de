import { onStage } from './contest.js';
import type { Contestant } from './contestants/contestant.js';
import { naiveInjection } from './contestants/naive-injection.js';
import { injecting } from './contestants/ours.js';
import { stockInjection } from './contestants/stock-injection.js';
import { hireCast } from './injections/cast.js';
import { wrongOf } from './injections/judge.js';
import type { InjectionsEntry, InjectionsMeasured, InjectionsReport } from './injections/measured.js';
import { auditRecords, type RecordsAudit } from './injections/records.js';
import { openInjectionStage } from './injections/stage.js';

export interface InjectionsOptions {
  readonly meters: number;
  /** Of the steps at an even pace, once as many wait as should; and of the flood. */
  readonly seconds: number;
  /** Injections by chance. */
  readonly count: number;
  readonly memoryRounds: number;
  readonly log: (line: string) => void;
}

/** How many wait when calls come at `waiting / answerMs`; the shipped flow lets 1,000 wait, so a few less. */
const levels = [
  { waiting: 1, answerMs: 100 },
  { waiting: 100, answerMs: 4_000 },
  { waiting: 930, answerMs: 4_000 },
] as const;

/**
 * Token injections on the shipped flows, in the naive pattern and in a flow of stock nodes: the same calls, the same
 * vendor, the same meters. @throws when one of ours was told anything but the truth
 */
export async function measureInjections(options: InjectionsOptions): Promise<InjectionsReport> {
  const ours = await compete(injecting, options);
  const peers = [await compete(naiveInjection, options), await compete(stockInjection, options)];
  return { meters: options.meters, ours, peers };
}

/** What is not as it must be, with examples; '' when all is well. */
export function faultsOf({ levels: even, flood, random, audit }: InjectionsEntry): string {
  const steps = [...even, flood, random].filter(({ verdicts }) => wrongOf(verdicts) > 0);
  const told = steps.map(
    ({ step, verdicts, examples }) => `${step}: ${JSON.stringify(verdicts)}\n${examples.join('\n')}`,
  );
  const records = audit === null || isTrue(audit) ? [] : [`records: ${JSON.stringify(audit)}`];
  return [...told, ...records].join('\n');
}

function isTrue({ booked: _booked, open: _open, ...faults }: RecordsAudit): boolean {
  return Object.values(faults).every((count) => count === 0);
}

async function compete(
  contestantOf: (vendorUrl: string) => Contestant,
  { meters, seconds, count, memoryRounds, log }: InjectionsOptions,
): Promise<InjectionsEntry> {
  const cast = await hireCast();
  const contestant = contestantOf(cast.vendorUrl);
  log(contestant.name);
  try {
    return await onStage(contestant, { meters, log: (line) => log(`  ${line}`) }, async (scene) => {
      await cast.meters({ port: scene.running.mqttPort, logins: scene.running.logins });
      const stage = openInjectionStage(scene, cast, meters);
      await stage.warmUp();
      // Before a flood has left the heap so large that nothing more is needed.
      const kbPerWaiting = await stage.memory(memoryRounds);
      const even: InjectionsMeasured[] = [];
      for (const level of levels)
        even.push(await stage.even(`about ${level.waiting} waiting`, { ...level, seconds }));
      const flood = await stage.flood(seconds);
      const random = await stage.random(count);
      const isOurs = contestantOf === injecting;
      const audit = isOurs ? await auditRecords(scene.databaseUrl, stage) : null;
      if (audit !== null) log(`  records: ${JSON.stringify(audit)}`);
      const entry = { name: contestant.name, about: contestant.about };
      return { ...entry, levels: even, flood, kbPerWaiting, random, audit };
    });
  } finally {
    await cast.end();
  }
}
