/** A gateway in a process of its own that tells events by itself, at the pace its parent asks for. Given: Redis as JSON. */
import type { RedisSettings } from '../../../src/redis/connection.js';
import { startLiveHouse } from '../../live/house.js';
import { clockMs } from './clock.js';
import { pace } from './steps.js';

/** Numbers begin with `first`. Answered with when each was told (`clockMs`). */
export interface TellOrder {
  readonly first: number;
  readonly count: number;
  readonly perSecond: number;
}

const redis = JSON.parse(process.argv[2] ?? 'null') as RedisSettings | null;

async function run(): Promise<void> {
  const house = await startLiveHouse(redis === null ? {} : { redis });
  process.on('message', (order: TellOrder | 'problem') => {
    if (order === 'problem') process.send?.({ problem: house.live.relay?.problem ?? null });
    else void tell(order);
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.({ port: Number(new URL(house.url).port) });

  async function tell({ first, count, perSecond }: TellOrder): Promise<void> {
    const toldMs: number[] = [];
    await pace(perSecond, count, (number) => {
      toldMs.push(clockMs());
      const data = {
        meter_id: 'METER001',
        kwh_amount: 1.25,
        timestamp: '2026-11-20T12:00:00.000Z',
        n: first + number,
      };
      house.tell({ event: 'MeterReadingSubmitted', data });
    });
    process.send?.(toldMs);
  }
}

void run();
