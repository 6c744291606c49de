import { startAppliance } from '../support/appliance.js';
import { watchNeighbours } from './neighbours.js';
import type { LiveReport, LiveStep, RelayStep } from './live/measured.js';
import { measureListener } from './live/listener-memory.js';
import { measureRelay } from './live/relay.js';
import { measureStep } from './live/steps.js';
import { addOurTab, addStockTab, type Tab } from './live/tabs.js';

export interface LiveOptions {
  readonly seconds: number;
  readonly log: (line: string) => void;
}

/** Listeners × events a second: 100,000 messages a second each, which is what a generator beside it on two cores takes. */
const loads = [
  { listeners: 100, eventsPerSecond: 1_000 },
  { listeners: 1_000, eventsPerSecond: 100 },
] as const;
const relayLoads = [
  { listeners: 1, eventsPerSecond: 10_000 },
  { listeners: 1, eventsPerSecond: 30_000 },
  { listeners: 100, eventsPerSecond: 1_000 },
] as const;

/** The shipped gateway and Node-RED's own WebSocket node, in one Node-RED, the same events and listeners. */
export async function measureLive({ seconds, log }: LiveOptions): Promise<LiveReport> {
  const house = await startAppliance({
    env: { VIRTUAL_METERS: '0', MOCK_SYNC: 'off', INSTANCE_ID: 'bench' },
  });
  const neighbours = watchNeighbours([process.pid, house.pid]);
  async function step(
    name: string,
    { feedPort, path }: Tab,
    load: (typeof loads)[number],
  ): Promise<LiveStep> {
    const measured = await measureStep({
      ...load,
      seconds,
      feedPort,
      path,
      port: house.port,
      pid: house.pid,
    });
    log(`${name}: ${JSON.stringify(measured)}`);
    return measured;
  }

  try {
    const ours: LiveStep[] = [];
    const stock: LiveStep[] = [];
    const [gateway, plain] = [await addOurTab(house), await addStockTab(house)];
    // One after the other, load by load: what else the machine does meanwhile meets both.
    for (const load of loads) {
      ours.push(await step('live-events', gateway, load));
      stock.push(await step('websocket out', plain, load));
    }
    await house.stop();
    return {
      ours: { name: 'live-events', steps: ours },
      stock: { name: 'websocket out', steps: stock },
      relay: await relays(seconds, log),
      kbPerListener: await measureListener(),
      othersCores: neighbours.stop().cores,
    };
  } finally {
    await house.stop();
  }
}

async function relays(seconds: number, log: (line: string) => void): Promise<RelayStep[]> {
  const steps: RelayStep[] = [];
  for (const load of relayLoads) {
    const step = await measureRelay({ ...load, seconds });
    log(`through Redis: ${JSON.stringify(step)}`);
    steps.push(step);
  }
  return steps;
}
