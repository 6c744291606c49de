import { setTimeout as delay } from 'node:timers/promises';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openDatabase, type Database } from '../../src/database/database.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { startMosquitto } from './contestants/mosquitto.js';
import { openEventEars } from './events/ears.js';
import { ourEvents, plainEvents, type EventsHouse, type Place } from './events/houses.js';
import type { EventsEntry, EventsMeasured, EventsReport } from './events/measured.js';
import { devicesCount } from './events/plan.js';
import { openEventsStage, unixMs } from './events/stage.js';
import { withServer } from './server.js';

export interface EventsOptions {
  readonly seconds: number;
  readonly log: (line: string) => void;
}

/** Changes a second of the paced step. */
export const changeRate = 200;
/** Rounds of 100 devices by SQL. */
const sqlRounds = 200;
const queuedMax = 1_000_000;

/** Device events of the shipped flows, and of the usual script: what is heard, when, and what never is. */
export async function measureEvents(options: EventsOptions): Promise<EventsReport> {
  const ours = await compete(ourEvents, options);
  return { devices: devicesCount, ours, plain: await compete(plainEvents, options) };
}

/** What is not as it must be; '' when all is well. */
export function untoldOf({ name: _name, about: _about, ...steps }: EventsEntry): string {
  return Object.values(steps)
    .filter(({ lost, outOfOrder }) => lost + outOfOrder > 0)
    .map(({ step, lost, outOfOrder }) => `${step}: ${lost} never, ${outOfOrder} out of order`)
    .join('; ');
}

function compete(
  houseAt: (place: Place) => Promise<EventsHouse>,
  { seconds, log }: EventsOptions,
): Promise<EventsEntry> {
  return withServer(async (server, folder) => {
    const place = join(folder, 'contestant');
    await mkdir(place);
    const mosquitto = await startMosquitto(place, queuedMax);
    const line = await startFaultProxy({ host: '127.0.0.1', port: mosquitto.port });
    const house = await houseAt({ databaseUrl: server.url, mqttPort: line.port, folder: place });
    log(house.name);
    const database = openDatabase({ url: server.url, queryTimeoutMs: 60_000 });
    const ears = await openEventEars(mosquitto.port);
    try {
      await house.start();
      await addDevices(database, house);
      const stage = openEventsStage(database, ears, house);
      const measure = async (...step: Parameters<typeof stage.measure>): Promise<EventsMeasured> => {
        const measured = await stage.measure(...step);
        log(`  ${describe(measured)}`);
        return measured;
      };
      const change = async (first: number, perSecond: number | null, length = seconds): Promise<number> => {
        const begun = unixMs();
        await house.change({ first, perSecond, seconds: length });
        return begun;
      };
      await measure('warm-up', (first) => change(first, changeRate, 3));
      const paced = await measure(`${changeRate} changes/s`, (first) => change(first, changeRate));
      const flood = await measure('flood, 20 changes at once', (first) => change(first, null));
      const bySql = await measure(`${sqlRounds * devicesCount} changes by SQL, one transaction`, (first) =>
        stage.changeBySql(first, sqlRounds),
      );
      const killed = await measure('kill -9 in a flood', async (first) => {
        const begun = unixMs();
        const changes = change(first, null, 4).catch(() => undefined);
        await delay(2_000);
        await house.crash();
        await changes;
        await house.start();
        return begun;
      });
      const away = await measure('broker away, and kill -9 meanwhile', async (first) => {
        const begun = unixMs();
        const changes = change(first, changeRate, 10).catch(() => undefined);
        await delay(1_000);
        line.cut();
        await delay(2_000);
        await house.crash();
        await changes;
        const restarted = house.start();
        await delay(1_000);
        line.pass();
        await restarted;
        await change(first + 100_000, changeRate, 1);
        return begun;
      });
      return { name: house.name, about: house.about, paced, flood, bySql, killed, away };
    } finally {
      await house.stop();
      await ears.close();
      await database.close();
      await line.close();
      await mosquitto.child.stop();
    }
  });
}

/** Told of as any other change, but their names are no numbers: the ears take no notice. */
async function addDevices(database: Database, house: EventsHouse): Promise<void> {
  const columns = house.name === 'meterflow' ? 'id, meter_id, type, mqtt_user, password_hash' : 'id';
  const values = house.name === 'meterflow' ? `'D' || n, 'D' || n, 'sensor', 'D' || n, '\\x00'` : `'D' || n`;
  await database.query({
    text: `insert into devices (${columns}) select ${values} from generate_series(0, ${devicesCount - 1}) n`,
  });
}

function describe({
  step,
  committed,
  lost,
  outOfOrder,
  again,
  perSecond,
  lag,
  others,
}: EventsMeasured): string {
  return (
    `${step}: ${committed} committed, ${lost} lost, ${outOfOrder} out of order, ${again} again, ` +
    `${Math.round(perSecond)}/s, lag p50/p95 ${lag.p50?.toFixed(1)}/${lag.p95?.toFixed(1)} ms; ` +
    `others ${others.cores.toFixed(1)} cores`
  );
}
