import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { countIn, startNats, withManager, type TestNats } from '../support/nats.js';
import { freePort } from '../support/ports.js';
import { onStage } from './contest.js';
import type { Contestant } from './contestants/contestant.js';
import { forwarding, unsigned } from './contestants/ours.js';
import type { ForwardEntry, ForwardReport, ForwardStep } from './forward/measured.js';
import { mosquittoBridge, scriptBridge, type Bridge } from './forward/peers.js';
import { compareStream, untilStill } from './forward/stream.js';
import { percentile } from './load/latency-histogram.js';
import { startLoad, type Load } from './load/load.js';
import { meterIdOf, planFrom, type ReadingPlan } from './load/reading-plan.js';
import { measureStep, type Measured, type Scene } from './measure.js';
import { cpuSeconds } from './process-tree.js';

export interface ForwardOptions {
  readonly meters: number;
  readonly seconds: number;
  /** Floods of each kind. */
  readonly rounds: number;
  readonly log: (line: string) => void;
}

/** Messages a second of the paced steps: a million meters' quarter hours, four times over. */
const pacedRate = 5_000;
const awaySeconds = 3;
const window = 20;

/** Ours without and with a forwarder, and two bridges, each on the same machine and against the same NATS. */
export async function measureForward(options: ForwardOptions): Promise<ForwardReport> {
  const { meters, rounds, log } = options;
  const without: Measured[] = [];
  const withIt: Measured[] = [];
  let ours: ForwardEntry | null = null;
  for (let round = 1; round <= rounds; round++) {
    log(`without forwarding, ${round} of ${rounds}`);
    without.push(await flood(unsigned, options));
    log(`with forwarding, ${round} of ${rounds}`);
    ours = await withNats('', (nats) => forwardOurs(nats, options, withIt, round === rounds));
  }
  const entries = ours === null ? [] : [ours];
  log('mqtt.js script');
  entries.push(
    await bridged(
      'mqtt.js script',
      'mqtt.js → js.publish on Mosquitto with a long queue',
      options,
      scriptBridge,
    ),
  );
  const port = await freePort();
  log('mosquitto bridge');
  entries.push(
    await bridged(
      'mosquitto bridge',
      'Mosquitto’s bridge to the MQTT listener of nats-server, with a long queue',
      options,
      async (folder, nats) => {
        // Its messages come under the topic with dots; the stream takes them from there.
        await withManager(nats, (manager) =>
          manager.streams.add({ name: 'METERFLOW', subjects: ['meters.>'] }),
        );
        return mosquittoBridge(folder, port);
      },
      `server_name: bench\nmqtt { host: "127.0.0.1", port: ${port} }`,
    ),
  );
  return { meters, floods: { without, with: withIt }, entries };
}

function flood(contestant: Contestant, { meters, seconds, log }: ForwardOptions): Promise<Measured> {
  return onStage(contestant, { meters, log: (line) => log(`  ${line}`) }, async (scene) => {
    const load = await loadOf(scene);
    try {
      await measureStep(scene, load, { mode: 'paced', rate: 2_000, seconds: 2 });
      return await measureStep(scene, load, { mode: 'max', window, seconds });
    } finally {
      await load.end();
    }
  });
}

async function forwardOurs(
  nats: TestNats,
  { meters, seconds, log }: ForwardOptions,
  floods: Measured[],
  isLast: boolean,
): Promise<ForwardEntry | null> {
  const contestant = forwarding(nats.url);
  return onStage(contestant, { meters, log: (line) => log(`  ${line}`) }, async (scene) => {
    const load = await loadOf(scene);
    const pids = (): readonly number[] => [...scene.running.pids(), scene.server.pid];
    const step = (away: boolean) => pacedStep({ nats, load, plan: scene.plan, seconds, pids, log, away });
    try {
      await measureStep(scene, load, { mode: 'paced', rate: 2_000, seconds: 2 });
      const before = await countIn(nats);
      const flooded = await measureStep(scene, load, { mode: 'max', window, seconds });
      floods.push(flooded);
      if (!isLast) return null;
      const from = Date.now();
      const behind = before + flooded.stored - (await countIn(nats));
      const until = await untilStill(nats, before + flooded.stored);
      const catchUpPerSecond = behind <= 0 ? null : (behind / Math.max(1, until - from)) * 1_000;
      log(
        `  backlog ${behind} after the flood, in the stream after ${((until - from) / 1_000).toFixed(1)} s`,
      );
      const paced = await step(false);
      const away = await step(true);
      return { name: contestant.name, about: contestant.about, catchUpPerSecond, paced, away };
    } finally {
      await load.end();
    }
  });
}

async function bridged(
  name: string,
  about: string,
  { meters, seconds, log }: ForwardOptions,
  start: (folder: string, nats: TestNats) => Promise<Bridge>,
  config = '',
): Promise<ForwardEntry> {
  return withNats(config, async (nats) => {
    const folder = await mkdtemp(join(tmpdir(), 'meterflow-bench-'));
    const bridge = await start(folder, nats);
    const plan = planFrom(Date.now());
    const logins = Array.from({ length: meters }, (_, index) => ({
      meterId: meterIdOf(index),
      clientId: meterIdOf(index),
    }));
    const load = await startLoad({
      host: '127.0.0.1',
      port: bridge.mqttPort,
      plan,
      first: 0,
      meters: logins,
    });
    const step = (away: boolean) =>
      pacedStep({ nats, load, plan, seconds, pids: () => bridge.pids(), log, away });
    try {
      const paced = await step(false);
      const away = await step(true);
      return { name, about, catchUpPerSecond: null, paced, away };
    } finally {
      await load.end();
      await bridge.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });
}

interface PacedStep {
  readonly nats: TestNats;
  readonly load: Load;
  readonly plan: ReadingPlan;
  readonly seconds: number;
  readonly pids: () => readonly number[];
  readonly log: (line: string) => void;
  /** NATS is killed after a third, and started again. */
  readonly away: boolean;
}

async function pacedStep({ nats, load, plan, seconds, pids, log, away }: PacedStep): Promise<ForwardStep> {
  const before = await countIn(nats);
  const long = away ? seconds + 2 * awaySeconds : seconds;
  const cpuBefore = cpuSeconds(pids());
  const killing = async (): Promise<void> => {
    if (!away) return;
    await delay((long / 3) * 1_000);
    await nats.stop('SIGKILL');
    await delay(awaySeconds * 1_000);
    await nats.start();
  };
  const [result] = await Promise.all([
    load.step({ mode: 'paced', rate: pacedRate, seconds: long }),
    killing(),
  ]);
  const ended = Date.now();
  const until = await untilStill(nats, before + result.acknowledged);
  const cpu = cpuSeconds(pids()) - cpuBefore;
  const { stored, lost, doubled } = await compareStream(nats, plan, result.meters);
  const name = away ? `NATS killed for ${awaySeconds} s at ${pacedRate}/s` : `${pacedRate}/s`;
  const behindSeconds = Math.max(0, until - ended) / 1_000;
  log(
    `  ${name}: ${stored} in the stream, ${lost} lost, ${doubled} doubled, behind ${behindSeconds.toFixed(1)} s`,
  );
  return {
    rate: pacedRate,
    seconds: long,
    acknowledged: result.acknowledged,
    stored,
    lost,
    doubled,
    behindSeconds,
    cpuSecondsPer100k: (cpu / Math.max(1, stored)) * 100_000,
    p95: percentile(result.latencies, 0.95),
  };
}

function loadOf({ running, plan }: Scene): Promise<Load> {
  return startLoad({ host: '127.0.0.1', port: running.mqttPort, plan, first: 0, meters: running.logins });
}

async function withNats<T>(config: string, work: (nats: TestNats) => Promise<T>): Promise<T> {
  const nats = await startNats(() => config);
  const kill = (): void => void nats.stop('SIGKILL');
  process.once('exit', kill);
  try {
    return await work(nats);
  } finally {
    process.off('exit', kill);
    await nats.remove();
  }
}
