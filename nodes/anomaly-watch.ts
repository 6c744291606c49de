import type { NodeAPI, NodeDef } from 'node-red';
import { createAnomalies, type Anomalies } from '../src/anomalies/anomalies.js';
import type { Noticed } from '../src/anomalies/anomaly.js';
import { createAnomalyWatch, type AnomalyWatch, type WatchOptions } from '../src/anomalies/watch.js';
import type { Delivery, SessionEvent } from '../src/broker/delivery.js';
import type { Database } from '../src/database/database.js';
import type { Reading, Rejection } from '../src/readings/reading.js';
import { defineNode, type Host } from './define-node.js';
import { numberSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  outlierTimes: string;
  silentMinutes: string;
  burst: string;
  topicsMax: string;
}

const everyMs = 1000;

/** Looks at outcomes as they pass, and keeps what is out of the ordinary ([H-23]). Never holds a reading up. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'passed' | 'noticed'>(RED, {
    type: 'anomaly-watch',
    outputs: ['passed', 'noticed'],
    start(config, host) {
      const anomalies = createAnomalies(host.use<Database>(config.database, 'database'));
      const watch = createAnomalyWatch(limitsOf(config));
      const keeping = keepEverySecond(host, anomalies, watch);
      return {
        input(message, emit) {
          const { payload, topic } = message;
          // The same message goes on: a copy of a batch would cost more than the look at it.
          if (topic === 'recorded' || topic === 'sessions')
            return watch.sessions(payload as readonly SessionEvent[]);
          if (topic === 'stored') watch.stored(payload as readonly Reading[]);
          else if (topic === 'quarantined') watch.rejected(payload as readonly Rejection[]);
          else if (topic === 'kept') watch.kept(payload as readonly Delivery[]);
          emit({ passed: message });
        },
        close: () => keeping.stop(),
      };
    },
  });
}

function limitsOf(config: Config): Required<Omit<WatchOptions, 'now'>> {
  return {
    outlierTimes: numberSetting(config.outlierTimes, 10, { name: 'Outlier', min: 2, max: 1000 }),
    silentMinutes: numberSetting(config.silentMinutes, 60, { name: 'Silence', min: 1, max: 10_080 }),
    burst: numberSetting(config.burst, 10, { name: 'Burst', min: 2, max: 100_000, whole: true }),
    topicsMax: numberSetting(config.topicsMax, 30, { name: 'Topics', min: 2, max: 1000, whole: true }),
  };
}

function keepEverySecond(
  host: Host<'passed' | 'noticed'>,
  anomalies: Anomalies,
  watch: AnomalyWatch,
): { stop(): Promise<void> } {
  let waiting: Noticed[] = [];
  let total = 0;
  let isAway = false;
  let keeping: Promise<void> = Promise.resolve();
  host.status('ok', 'nothing unusual');

  async function keep(): Promise<void> {
    // While the database is away the watch sums up; what could not be kept goes first.
    if (waiting.length === 0) waiting = watch.take();
    if (waiting.length === 0) return;
    await anomalies.keep(waiting);
    total += waiting.length;
    host.status('warning', `${total.toLocaleString('en')} noticed · last: ${waiting.at(-1)?.kind ?? ''}`);
    host.emit({ noticed: { topic: 'noticed', payload: waiting } as never });
    waiting = [];
  }

  /** A meter that reports through another instance is not silent; nobody is called so while the database is away. */
  async function judgeQuiet(): Promise<void> {
    const quiet = watch.quiet();
    if (quiet.length > 0) watch.judge(quiet, await anomalies.lastStored(quiet));
  }

  async function turn(): Promise<void> {
    try {
      await judgeQuiet();
      await keep();
      if (isAway)
        host.status('ok', total === 0 ? 'nothing unusual' : `${total.toLocaleString('en')} noticed`);
      isAway = false;
    } catch {
      isAway = true;
      const held = waiting.length === 0 ? '' : `${waiting.length} not kept yet: `;
      host.status('warning', `${held}database away`);
    }
  }

  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    keeping = turn().finally(() => (busy = false));
  }, everyMs);
  timer.unref();
  // Meters that fell silent while nobody watched. Without a database at the start they are met as they come.
  void anomalies.lastHeard().then(
    (meters) => meters.forEach(({ meter_id, heard }) => watch.remember(meter_id, heard)),
    () => {},
  );
  return {
    async stop() {
      clearInterval(timer);
      await keeping;
      await turn();
    },
  };
}
