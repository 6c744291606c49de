/**
 * npm run bench [-- --quick] [--only NAME]… [--meters N]: the product beside a stock Node-RED flow and an expert's script,
 * with the same readings, one after the other on this machine. The result is also written to artifacts/bench/.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { compete, type Entry } from '../test/bench/contest.js';
import { ours, settings } from '../test/bench/contestants/ours.js';
import { script } from '../test/bench/contestants/script.js';
import { stock } from '../test/bench/contestants/stock.js';
import type { Lengths } from '../test/bench/measure.js';
import { machine, table, type Report } from '../test/bench/report.js';
import { measureStart } from '../test/bench/start-memory.js';

const full: Lengths = {
  warmUpSeconds: 5,
  fixedSeconds: 15,
  maxSeconds: 12,
  searchSeconds: 8,
  searchStepsMax: 6,
  crashSeconds: 6,
};
const quick: Lengths = {
  warmUpSeconds: 1,
  fixedSeconds: 3,
  maxSeconds: 3,
  searchSeconds: 3,
  searchStepsMax: 2,
  crashSeconds: 3,
};
const folder = resolve(__dirname, '../artifacts/bench');

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      meters: { type: 'string', default: '500' },
    },
  });
  const meters = Number(values.meters);
  const lengths = values.quick ? quick : full;
  const wanted = (name: string): boolean => values.only?.some((word) => name.includes(word)) ?? true;

  const start = wanted('start') ? await measureStart() : null;
  const entries: Entry[] = [];
  for (const contestant of [ours, stock, script].filter(({ name }) => wanted(name))) {
    say(contestant.name);
    entries.push(await compete(contestant, { meters, lengths, log: (line) => say(`  ${line}`) }));
  }
  const at = new Date().toISOString();
  const mode = values.quick ? 'quick' : 'full';
  const report: Report = { at, machine: machine(), mode, meters, settings, start, entries };
  const file = join(folder, `${at.replaceAll(':', '-')}.json`);
  await mkdir(folder, { recursive: true });
  await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
  say(`\n${table(report)}\n${file}`);
  const lost = entries.filter(({ name }) => name === ours.name).flatMap(lossesOf);
  if (lost.length > 0) throw new Error(`A PUBACK means committed, and yet lost: ${lost.join(', ')}`);
}

function lossesOf({ fixed, max, crash }: Entry): string[] {
  return [fixed, max, crash].flatMap(({ lostExamples }) => lostExamples);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  },
);
