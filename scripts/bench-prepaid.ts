// npm run bench:prepaid [-- --meters N --seconds N --window N]: consumption reports and balance commands on the shipped flows.
import { parseArgs } from 'node:util';
import { measurePrepaid } from '../test/bench/prepaid.js';

const { values } = parseArgs({
  options: {
    meters: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '10' },
    window: { type: 'string', default: '20' },
  },
});
const log = (line: string): void => void process.stdout.write(`${line}\n`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
measurePrepaid({
  meters: Number(values.meters),
  seconds: Number(values.seconds),
  window: Number(values.window),
  log,
}).then(
  (result) => {
    log(JSON.stringify(result));
    process.exit(0);
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  },
);
