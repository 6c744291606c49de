import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { setTimeout as delay } from 'node:timers/promises';
import { countIn, type TestNats } from '../../support/nats.js';
import type { StepResult } from '../load/load.js';
import { meterIdOf, numberOf, type ReadingPlan } from '../load/reading-plan.js';

/** The stream stands still when nothing came for so long. */
const stillMs = 4_000;
const deadlineMs = 180_000;

export interface Arrived {
  readonly stored: number;
  readonly lost: number;
  readonly doubled: number;
}

/** Waits until the stream has `expected` messages more than `before`, or stands still. @returns Unix ms of the last */
export async function untilStill(nats: TestNats, expected: number): Promise<number> {
  const started = Date.now();
  let count = -1;
  let changedAt = started;
  for (;;) {
    const now = Date.now();
    const found = await countIn(nats).catch(() => count);
    if (found !== count) {
      count = found;
      changedAt = now;
    }
    if (count >= expected || now - changedAt > stillMs || now - started > deadlineMs) return changedAt;
    await delay(50);
  }
}

/** Compares reading by reading what a step got acknowledged with what is in the stream. */
export async function compareStream(
  nats: TestNats,
  plan: ReadingPlan,
  meters: StepResult['meters'],
): Promise<Arrived> {
  const found = await readingsIn(nats, plan);
  let stored = 0;
  let lost = 0;
  let doubled = 0;
  meters.forEach(({ first, count, missing }, index) => {
    const there = found.get(meterIdOf(index));
    const unacknowledged = new Set(missing);
    for (let k = first; k < first + count; k++) {
      const times = there?.get(k) ?? 0;
      if (times > 0) stored++;
      else if (!unacknowledged.has(k)) lost++;
      if (times > 1) doubled++;
    }
  });
  return { stored, lost, doubled };
}

/** How often each reading of each meter is in the stream. */
async function readingsIn(nats: TestNats, plan: ReadingPlan): Promise<Map<string, Map<number, number>>> {
  const found = new Map<string, Map<number, number>>();
  const expected = await countIn(nats);
  if (expected === 0) return found;
  const connection = await connect({ servers: nats.url });
  try {
    const consumer = await jetstream(connection).consumers.get('METERFLOW');
    for await (const message of await consumer.consume({ max_messages: 5_000 })) {
      const meter = message.subject.split('.').at(-2) ?? '';
      const { reading_timestamp } = message.json<{ reading_timestamp: number }>();
      const numbers = found.get(meter) ?? new Map<number, number>();
      found.set(meter, numbers);
      const number = numberOf(plan, reading_timestamp);
      numbers.set(number, (numbers.get(number) ?? 0) + 1);
      if (message.info.pending === 0) break;
    }
  } finally {
    await connection.close();
  }
  return found;
}
