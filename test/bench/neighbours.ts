import { readFileSync } from 'node:fs';
import { cpuSeconds } from './process-tree.js';

/** What else the machine had to do meanwhile: numbers of a loaded machine are to be read with it. */
export interface Neighbours {
  /** Cores that other programs kept busy, on average. */
  readonly cores: number;
  /** Processes that ran or waited for a core, ours included, on average. */
  readonly runQueue: number;
}

const everyMs = 250;

/** @param roots of the process trees that are ours */
export function watchNeighbours(roots: readonly number[]): { stop(): Neighbours } {
  const started = performance.now();
  const busyBefore = readStat().busySeconds;
  const ownBefore = cpuSeconds(roots);
  const queue: number[] = [];
  const timer = setInterval(() => queue.push(readStat().running), everyMs);
  return {
    stop() {
      clearInterval(timer);
      const { busySeconds, running } = readStat();
      queue.push(running);
      const seconds = (performance.now() - started) / 1_000;
      const others = busySeconds - busyBefore - (cpuSeconds(roots) - ownBefore);
      return {
        cores: Math.max(0, others / seconds),
        runQueue: queue.reduce((sum, count) => sum + count, 0) / queue.length,
      };
    },
  };
}

function readStat(): { busySeconds: number; running: number } {
  const text = readFileSync('/proc/stat', 'utf8');
  // user nice system idle iowait irq softirq steal: all but idle and iowait, in hundredths of a second.
  const ticks = (/^cpu +(.+)$/m.exec(text)?.[1] ?? '').split(' ').map(Number);
  const busy = ticks.reduce(
    (sum, count, field) => sum + (field === 3 || field === 4 || field > 7 ? 0 : count),
    0,
  );
  return { busySeconds: busy / 100, running: Number(/^procs_running (\d+)$/m.exec(text)?.[1] ?? 0) };
}
