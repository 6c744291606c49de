import { startGatewayProcess } from '../../live/gateways.js';
import { startLiveHouse } from '../../live/house.js';
import { eventually } from '../../support/eventually.js';
import { startRedis } from '../../support/redis.js';
import { clockMs } from './clock.js';
import { openCrowd } from './crowd.js';
import type { RelayStep } from './measured.js';
import { judge, pace } from './steps.js';

/** Events of a gateway here, heard by a listener of a gateway in another process. */
export async function measureRelay(eventsPerSecond: number, seconds: number): Promise<RelayStep> {
  const redis = await startRedis();
  const settings = { url: redis.url, password: null, caFile: null };
  const [here, there] = await Promise.all([
    startLiveHouse({ redis: settings }),
    startGatewayProcess(settings),
  ]);
  const crowd = await openCrowd({ port: Number(new URL(there.url).port), path: '/ws', count: 1 });
  try {
    await eventually(async () => here.live.relay?.problem === null && (await there.state()).problem === null);
    const sentMs: number[] = [];
    const tell = (number: number): void => {
      sentMs[number] = clockMs();
      const data = {
        meter_id: 'METER001',
        kwh_amount: 1.25,
        timestamp: '2026-11-20T12:00:00.000Z',
        n: number,
      };
      here.tell({ event: 'MeterReadingSubmitted', data });
    };
    const warmUp = eventsPerSecond;
    await pace(eventsPerSecond, warmUp, tell);
    const begun = clockMs();
    await pace(eventsPerSecond, seconds * eventsPerSecond, (number) => tell(warmUp + number));
    const took = (clockMs() - begun) / 1000;
    await crowd.drained(sentMs.length);
    const heard = await crowd.report();
    const { p50, p95, missed, messages } = judge(heard, sentMs, warmUp, 1);
    return { eventsPerSecond, arrivedPerSecond: (messages - missed) / took, missed, p50, p95 };
  } finally {
    crowd.stop();
    await Promise.all([here.close(), there.end()]);
    await redis.remove();
  }
}
