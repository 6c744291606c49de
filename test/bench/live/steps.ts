import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { addLatency, emptyLatencies, percentile } from '../load/latency-histogram.js';
import { cpuSeconds, watchMemory } from '../process-tree.js';
import { clockMs } from './clock.js';
import { openCrowd } from './crowd.js';
import type { Heard } from './crowd-process.js';
import type { LiveLoss, LiveStep } from './measured.js';

export interface StepOptions {
  readonly port: number;
  /** Of the WebSocket. */
  readonly path: string;
  /** Node-RED takes events here, a line each. */
  readonly feedPort: number;
  readonly pid: number;
  readonly listeners: number;
  readonly eventsPerSecond: number;
  readonly seconds: number;
}

/** Of the same length as real ones. */
const filler = 'METER001 says that its cover is open';
const warmUpMs = 1_500;

/** Listeners connect, events flow, and each event counts when the last listener has it. */
export async function measureStep(options: StepOptions): Promise<LiveStep> {
  const { port, path, feedPort, pid, listeners, eventsPerSecond, seconds } = options;
  const crowd = await openCrowd({ port, path, count: listeners });
  const feed = connect({ port: feedPort, host: '127.0.0.1', noDelay: true });
  try {
    const sentMs: number[] = [];
    const warmUp = Math.round((warmUpMs / 1000) * eventsPerSecond);
    await pace(eventsPerSecond, warmUp, (number) => tell(feed, number, sentMs));
    const memory = watchMemory([pid]);
    const cpu = cpuSeconds([pid]);
    const begun = clockMs();
    await pace(eventsPerSecond, seconds * eventsPerSecond, (number) => tell(feed, warmUp + number, sentMs));
    const cores = (cpuSeconds([pid]) - cpu) / ((clockMs() - begun) / 1000);
    await crowd.drained(sentMs.length * listeners);
    const memoryMost = memory.stop();
    const heard = await crowd.report(sentMs.length);
    return {
      listeners,
      eventsPerSecond,
      cores,
      memoryMiB: memoryMost,
      loss: lossOf(heard),
      ...judge(heard, sentMs, warmUp, listeners),
    };
  } finally {
    feed.destroy();
    crowd.stop();
  }
}

export function lossOf({ doubled, told, silent, dropped }: LiveLoss): LiveLoss {
  return { doubled, told, silent, dropped };
}

export function judge(
  heard: Pick<Heard, 'lastMs' | 'counts'>,
  sentMs: readonly number[],
  first: number,
  listeners: number,
) {
  const latencies = emptyLatencies();
  let missed = 0;
  for (let number = first; number < sentMs.length; number++) {
    const count = heard.counts[number] ?? 0;
    missed += listeners - count;
    if (count === listeners) addLatency(latencies, (heard.lastMs[number] ?? 0) - (sentMs[number] ?? 0));
  }
  const counts = [...latencies];
  return {
    p50: percentile(counts, 0.5),
    p95: percentile(counts, 0.95),
    p99: percentile(counts, 0.99),
    missed,
    messages: (sentMs.length - first) * listeners,
  };
}

/** Open loop: what is late is made up for, as things that happen do not wait. */
export async function pace(perSecond: number, total: number, send: (number: number) => void): Promise<void> {
  const begun = clockMs();
  for (let sent = 0; sent < total;) {
    const due = Math.min(total, Math.floor(((clockMs() - begun) / 1000) * perSecond));
    for (; sent < due; sent++) send(sent);
    await delay(1);
  }
}

function tell(feed: { write(text: string): unknown }, number: number, sentMs: number[]): void {
  sentMs[number] = clockMs();
  const data = { meter_id: 'METER001', status: 'error', message: filler, n: number };
  feed.write(`${JSON.stringify({ event: 'DeviceStatus', data })}\n`);
}
