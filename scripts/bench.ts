/**
 * npm run bench [-- --quick] [--only NAME]… [--meters N]: the product beside a stock Node-RED flow and an expert's script,
 * with the same readings, one after the other on this machine. The result is also written to artifacts/bench/.
 */
import { parseArgs } from 'node:util';
import { compete, type Entry } from '../test/bench/contest.js';
import { script } from '../test/bench/contestants/script.js';
import { stock } from '../test/bench/contestants/stock.js';
import type { Lengths } from '../test/bench/measure.js';

const full: Lengths = {
  warmUpSeconds: 5,
  fixedSeconds: 15,
  maxSeconds: 12,
  searchSeconds: 8,
  searchStepsMax: 6,
};
const quick: Lengths = {
  warmUpSeconds: 2,
  fixedSeconds: 4,
  maxSeconds: 4,
  searchSeconds: 3,
  searchStepsMax: 3,
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      meters: { type: 'string', default: '500' },
    },
  });
  const entries: Entry[] = [];
  for (const contestant of [stock, script]) {
    if (values.only?.some((word) => contestant.name.includes(word)) === false) continue;
    process.stdout.write(`${contestant.name}\n`);
    const log = (line: string): void => void process.stdout.write(`  ${line}\n`);
    const lengths = values.quick ? quick : full;
    entries.push(await compete(contestant, { meters: Number(values.meters), lengths, log }));
  }
  process.stdout.write(`${JSON.stringify(entries, null, 2)}\n`);
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  },
);
