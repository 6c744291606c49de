import { readdirSync, readFileSync } from 'node:fs';

/** Ticks per second of /proc/{pid}/stat: 100 on every Linux that Node.js runs on. */
const ticksPerSecond = 100;

interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  /** Own time and that of children which ended. */
  readonly cpuSeconds: number;
}

/** The processes of `roots` and all below them that are alive. */
export function processTree(roots: readonly number[]): ProcessStat[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => statOf(Number(name)) ?? []);
  const members = new Set(roots);
  for (let grown = true; grown;) {
    const before = members.size;
    for (const { pid, parent } of all) if (members.has(parent)) members.add(pid);
    grown = members.size > before;
  }
  return all.filter(({ pid }) => members.has(pid));
}

export function cpuSeconds(roots: readonly number[]): number {
  return processTree(roots).reduce((sum, { cpuSeconds: seconds }) => sum + seconds, 0);
}

/** Memory of the tree in MiB, each shared page counted once (PSS): PostgreSQL's processes share their buffers. */
export function memoryMiB(roots: readonly number[]): number {
  const kib = processTree(roots).reduce((sum, { pid }) => sum + pssKiB(pid), 0);
  return kib / 1_024;
}

/** Watches the memory of a tree once a second; `stop` answers the highest value seen, in MiB. */
export function watchMemory(roots: readonly number[]): { stop(): number } {
  let peak = memoryMiB(roots);
  const timer = setInterval(() => (peak = Math.max(peak, memoryMiB(roots))), 1_000);
  return {
    stop() {
      clearInterval(timer);
      return Math.max(peak, memoryMiB(roots));
    },
  };
}

function statOf(pid: number): ProcessStat | undefined {
  const text = contents(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The command name in parentheses may hold blanks; the fields behind it do not.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field]), 0);
  return { pid, parent: Number(fields[1]), cpuSeconds: ticks / ticksPerSecond };
}

/** Processes of other users show only their RSS to somebody who is not root. */
function pssKiB(pid: number): number {
  const rollup = contents(`/proc/${pid}/smaps_rollup`);
  const text = rollup ?? contents(`/proc/${pid}/status`) ?? '';
  return Number(/^(?:Pss|VmRSS):\s+(\d+) kB/m.exec(text)?.[1] ?? 0);
}

/** Undefined when the process ended meanwhile. */
function contents(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
