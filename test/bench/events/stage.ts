import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../../../src/database/database.js';
import { addLatency, emptyLatencies } from '../load/latency-histogram.js';
import { watchNeighbours } from '../neighbours.js';
import { latencyOf } from '../prepaid/measured.js';
import type { EventEars } from './ears.js';
import type { EventsHouse } from './houses.js';
import type { EventsMeasured } from './measured.js';
import { devicesCount } from './plan.js';

/** So long nothing more was heard: what is missing is lost. */
const stillMs = 5_000;
const deadlineMs = 120_000;

export interface EventsStage {
  /** @param work changes devices; resolves when all of that is committed, with the time from which on to count (Unix ms) */
  measure(step: string, work: (first: number) => Promise<number>): Promise<EventsMeasured>;
  /** 100 devices `rounds` times in one transaction, by nobody who publishes. */
  changeBySql(first: number, rounds: number): Promise<number>;
}

export function openEventsStage(database: Database, ears: EventEars, house: EventsHouse): EventsStage {
  let first = 1;

  async function committedSince(id: number): Promise<{ id: number; device: string; number: number }[]> {
    const { rows } = await database.query<{ id: number; device: string; number: number }>({
      text: `select id::float8, device_id as device, split_part(name, ' ', 1)::float8 as number from changes
              where id > $1 order by id`,
      values: [id],
      timeoutMs: 60_000,
    });
    return rows;
  }

  async function lastId(): Promise<number> {
    const { rows } = await database.query<{ id: number }>({
      text: 'select coalesce(max(id), 0)::float8 as id from changes',
    });
    return rows[0]?.id ?? 0;
  }

  async function untilStill(wanted: number): Promise<void> {
    const deadline = Date.now() + deadlineMs;
    const begun = Date.now();
    while (ears.heard.size < wanted && Date.now() < deadline) {
      if (Date.now() - Math.max(ears.lastAt, begun) > stillMs) return;
      await delay(20);
    }
  }

  return {
    async measure(step, work) {
      ears.forget();
      const before = await lastId();
      const neighbours = watchNeighbours([process.pid, ...house.pids()]);
      const begun = await work(first);
      const committed = await committedSince(before);
      await untilStill(committed.length);
      const others = neighbours.stop();
      first = Math.max(first, ...committed.map(({ number }) => number)) + 1_000;
      const lags = emptyLatencies();
      let again = 0;
      for (const { at, begunAt, times } of ears.heard.values()) {
        addLatency(lags, at - begunAt);
        again += times - 1;
      }
      return {
        step,
        committed: committed.length,
        heard: ears.heard.size,
        lost: committed.filter(({ number }) => !ears.heard.has(number)).length,
        outOfOrder: outOfOrder(committed, ears),
        again,
        perSecond: ears.heard.size / ((ears.lastAt - begun) / 1000),
        lag: latencyOf([...lags]),
        others,
      };
    },
    changeBySql: (number, rounds) =>
      database.transaction(async (tx) => {
        for (let round = 0; round < rounds; round++)
          await tx.query({
            text: `with changed as (
                     update devices set name = ($1::float8 + substr(id, 2)::int)::text || ' ' || $2::text returning id, name
                   )
                   insert into changes (device_id, name) select id, name from changed`,
            values: [number + round * devicesCount, unixMs().toFixed(2)],
          });
        // Its commit comes now.
        return unixMs();
      }),
  };
}

/** With fractions; the same in all processes of this machine. */
export function unixMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Changes that were heard after a later one of their device. */
function outOfOrder(committed: readonly { device: string; number: number }[], ears: EventEars): number {
  const latest = new Map<string, number>();
  let count = 0;
  for (const { device, number } of committed) {
    const place = ears.heard.get(number)?.place;
    if (place === undefined) continue;
    const before = latest.get(device) ?? -1;
    if (place < before) count += 1;
    latest.set(device, Math.max(place, before));
  }
  return count;
}
