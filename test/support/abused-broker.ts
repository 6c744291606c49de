import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

import { startBroker } from '../../src/broker/broker.js';
import { deliveries } from '../../src/broker/deliveries.js';
import type { Delivery } from '../../src/broker/delivery.js';
import { createValidator } from '../../src/readings/validate.js';
import { as, testDirectory } from './broker.js';
import { connectPacket, publishPacket } from './mqtt-wire.js';

/** What happened since the last question. */
export interface Lap {
  readonly sent: number;
  readonly acknowledged: number;
  readonly p99Ms: number;
  /** Of one core. */
  readonly cpuShare: number;
  /** By how much longer everything took because other programs had the processor: 1, not at all. */
  readonly slowdown: number;
  /** Messages of others that reached the flow. */
  readonly received: number;
  readonly codes: readonly string[];
  readonly isConnected: boolean;
}

// Below the rate that a device may sustain.
const everyMs = 25;

/**
 * A process with the broker and beside it a steady meter, METER002, that sends 40 readings a second and notes how long
 * each waits for its PUBACK, counted from when it was due: what stalls the process shows too. Asked by any message, it
 * tells what happened since the last time.
 */
async function run(): Promise<void> {
  const validator = createValidator();
  let received = 0;
  let codes = new Set<string>();
  const broker = await startBroker({
    host: '127.0.0.1',
    port: 0,
    directory: testDirectory(),
    limits: { connectTimeoutMs: Number(process.argv[2]) },
    sink: {
      readings(batch) {
        const foreign = batch.filter(({ meter_id }) => meter_id !== 'METER002');
        received += foreign.length;
        const { rejected, valid, splits } = validator.validate(foreign.slice(0, 100));
        for (const { code } of rejected) codes.add(code);
        if (valid.length > 0) codes.add('valid');
        for (const { delivery, parts } of splits)
          for (let n = 0; n < parts; n++) deliveries.settle(delivery, n);
        settle(batch);
      },
      messages(batch) {
        received += batch.length;
        settle(batch);
      },
      sessions() {},
    },
  });

  const waiting: number[] = [];
  let latencies: number[] = [];
  let sent = 0;
  let isConnected = false;
  const socket = connect(broker.port, '127.0.0.1');
  socket.write(connectPacket(as('METER002')));
  socket.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; at += 4) {
      if (chunk[at] === 0x20) isConnected = true;
      else latencies.push(performance.now() - (waiting.shift() ?? 0));
    }
  });
  socket.on('close', () => (isConnected = false));
  let due = performance.now() + 500;
  let id = 0;
  setInterval(() => {
    for (; due <= performance.now(); due += everyMs) {
      if (!isConnected) continue;
      waiting.push(due);
      sent += 1;
      id = (id % 65_535) + 1;
      socket.write(publishPacket('meters/METER002/readings', '{"kwh_amount":1,"reading_timestamp":1}', id));
    }
  }, everyMs);

  let lapFrom = performance.now();
  let cpuFrom = process.cpuUsage();
  let scheduledFrom = scheduled();
  process.on('message', () => {
    const cpu = process.cpuUsage(cpuFrom);
    const { ranNs, waitedNs } = scheduled();
    const ran = ranNs - scheduledFrom.ranNs;
    const sorted = latencies.toSorted((a, b) => a - b);
    const lap: Lap = {
      sent,
      acknowledged: latencies.length,
      p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
      cpuShare: (cpu.user + cpu.system) / 1000 / (performance.now() - lapFrom),
      slowdown: ran > 0 ? 1 + (waitedNs - scheduledFrom.waitedNs) / ran : 1,
      received,
      codes: [...codes].sort(),
      isConnected,
    };
    process.send?.(lap);
    sent = waiting.length;
    received = 0;
    latencies = [];
    codes = new Set();
    lapFrom = performance.now();
    cpuFrom = process.cpuUsage();
    scheduledFrom = scheduled();
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.(broker.port);
}

/** How long this process' main thread ran, and how long it waited for a processor while it could have run. */
function scheduled(): { ranNs: number; waitedNs: number } {
  const [ranNs = 0, waitedNs = 0] = readFileSync('/proc/self/schedstat', 'utf8').split(' ').map(Number);
  return { ranNs, waitedNs };
}

function settle(batch: readonly Delivery[]): void {
  for (const { delivery } of batch) deliveries.settle(delivery);
}

void run();
