/**
 * `npm run broker:conformance -- --port N`: the same broker for the public MQTT 3.1.1 conformance suites ([C-5],
 * [M-16]): loopback only, anonymous, everything allowed except subscribing to `test/nosubscribe`.
 */
import { parseArgs } from 'node:util';

import { startBroker } from '../src/broker/broker.js';
import { createMemoryDirectory } from '../src/broker/memory-directory.js';

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '1883' } } });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new Error(`--port ${values.port}: 0 to 65535 allowed`);
  const broker = await startBroker({
    host: '127.0.0.1',
    port,
    directory: createMemoryDirectory({ admitAll: true }),
    access: {
      mayPublish: (_principal, topic) => !topic.startsWith('$SYS'),
      maySubscribe: (_principal, filter) => filter !== 'test/nosubscribe',
    },
    // The suites are one address that sends little else than what must be refused.
    limits: { loginRefusalsPerSecond: 1_000_000 },
    sink: { readings() {}, messages() {}, sessions() {} },
  });
  process.stdout.write(`MQTT conformance broker on mqtt://127.0.0.1:${broker.port}\n`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void broker.close({ drainMs: 1_000 }).then(() => process.exit(0)));
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
