/**
 * The load generator: a process of its own with one real MQTT connection per meter. It is forked by load.ts, does one
 * step at a time and answers with what was acknowledged.
 */
import { emptyLatencies } from './latency-histogram.js';
import { Publisher, type MeterLogin } from './publisher.js';
import type { ReadingPlan } from './reading-plan.js';

export interface ConnectOrder {
  readonly order: 'connect';
  readonly host: string;
  readonly port: number;
  readonly plan: ReadingPlan;
  /** The first reading's number. */
  readonly first: number;
  readonly meters: readonly MeterLogin[];
  /** Logins under way at once; 100 unless told otherwise. */
  readonly atOnce?: number;
}

/** Answered with seconds: all connections made anew, after all were cut at once when they exist. */
export interface ReturnOrder {
  readonly order: 'return';
}

/** `paced`: `rate` readings per second, come what may. `max`: each connection keeps `window` readings under way. */
export type StepOrder = { readonly order: 'step'; readonly seconds: number } & (
  { readonly mode: 'paced'; readonly rate: number } | { readonly mode: 'max'; readonly window: number }
);

export interface StepResult {
  readonly sent: number;
  readonly acknowledged: number;
  /** From the first PUBLISH to the last PUBACK. */
  readonly seconds: number;
  /** Readings that the pace asked for and that were not sent, as too many of their connection were under way. */
  readonly withheld: number;
  /** Readings that had to be signed while the clock ran. */
  readonly signedLate: number;
  readonly latencies: readonly number[];
  readonly connectionsLost: readonly string[];
  /** By meter, in the order of the connect order. */
  readonly meters: readonly {
    readonly first: number;
    readonly count: number;
    readonly missing: readonly number[];
  }[];
}

/** So much is signed before a flood; no run has come near it. */
const signedPerSecond = 120_000;
/** After the last PUBLISH, acknowledgements are awaited as long as some still come. */
const quietMs = 5_000;
const tickMs = 2;
/** A share at a time, as thousands of meters would: all in one instant were a burst of their own, inside the one measured. */
const pingEveryMs = 20_000;
const pingShares = 200;
let pinged = 0;

let connections: ConnectOrder | undefined;
let publishers: Publisher[] = [];
const latencies = emptyLatencies();

type Order = ConnectOrder | ReturnOrder | StepOrder | { readonly order: 'end' };

process.on('message', (order: Order) => {
  void obey(order).then(
    (answer) => process.send?.({ answer }),
    (error: unknown) => process.send?.({ error: error instanceof Error ? error.message : String(error) }),
  );
});
setInterval(pingSome, pingEveryMs / pingShares).unref();

async function obey(order: Order): Promise<StepResult | number> {
  if (order.order === 'connect') {
    connections = order;
    publishers = order.meters.map((login) => new Publisher(login, order.plan, order.first, latencies));
    return connectAll(order);
  }
  if (order.order === 'return') {
    if (connections === undefined) throw new Error('There are no connections yet.');
    for (const publisher of publishers) publisher.drop();
    return connectAll(connections);
  }
  if (order.order === 'step') return step(order);
  for (const publisher of publishers) publisher.end();
  setTimeout(() => process.exit(0), 200);
  return 0;
}

function pingSome(): void {
  pinged = (pinged + 1) % pingShares;
  for (let at = pinged; at < publishers.length; at += pingShares) publishers[at]?.ping();
}

/** @returns seconds from the first connection to the last CONNACK */
async function connectAll({ host, port, atOnce = 100 }: ConnectOrder): Promise<number> {
  const started = performance.now();
  let next = 0;
  const inTurn = async (): Promise<void> => {
    for (let publisher = publishers[next++]; publisher !== undefined; publisher = publishers[next++]) {
      await publisher.connect(host, port);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, inTurn));
  return (performance.now() - started) / 1_000;
}

async function step(order: StepOrder): Promise<StepResult> {
  latencies.fill(0);
  const total = order.seconds * (order.mode === 'paced' ? order.rate : signedPerSecond);
  for (const publisher of publishers) {
    publisher.begin();
    publisher.sign(Math.ceil(total / publishers.length));
  }
  const started = performance.now();
  const withheld = await (order.mode === 'paced' ? paced(order, started) : max(order, started));
  const finished = await acknowledgementsCame();
  const meters = publishers.map((publisher) => publisher.summary());
  return {
    sent: meters.reduce((sum, meter) => sum + meter.count, 0),
    acknowledged: acknowledged(),
    seconds: (finished - started) / 1_000,
    withheld,
    signedLate: publishers.reduce((sum, publisher) => sum + publisher.signedLate, 0),
    latencies: [...latencies],
    connectionsLost: publishers.flatMap(({ lost }) => lost ?? []),
    meters,
  };
}

/** A reading is due at its time of the pace, not when there was time to write it: waiting is part of its latency. */
async function paced({ rate, seconds }: { rate: number; seconds: number }, started: number): Promise<number> {
  let due = 0;
  let withheld = 0;
  const total = Math.floor(rate * seconds);
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const until = Math.min(total, Math.floor(((performance.now() - started) / 1_000) * rate));
      for (; due < until; due += 1) {
        const sent = publishers[due % publishers.length]?.send(1, started + (due / rate) * 1_000) ?? 0;
        if (sent === 0) withheld += 1;
      }
      if (due < total) return;
      clearInterval(timer);
      resolve();
    }, tickMs);
  });
  return withheld;
}

async function max(
  { window, seconds }: { window: number; seconds: number },
  started: number,
): Promise<number> {
  const until = started + seconds * 1_000;
  for (const publisher of publishers) {
    // Refilled by halves, so that one write carries several readings, as a busy meter's would.
    publisher.onAcknowledged = () => {
      const now = performance.now();
      if (now < until && publisher.inflight <= window / 2) publisher.send(window - publisher.inflight, now);
    };
    publisher.send(window, performance.now());
  }
  await new Promise((resolve) => setTimeout(resolve, until - performance.now()));
  for (const publisher of publishers) publisher.onAcknowledged = undefined;
  return 0;
}

/** The instant of the last acknowledgement. */
async function acknowledgementsCame(): Promise<number> {
  const sent = publishers.reduce((sum, publisher) => sum + publisher.sentCount, 0);
  let count = -1;
  let changed = performance.now();
  for (;;) {
    const now = performance.now();
    if (acknowledged() !== count) {
      count = acknowledged();
      changed = now;
    }
    if (count === sent || now - changed > quietMs) return changed;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function acknowledged(): number {
  return publishers.reduce((sum, publisher) => sum + publisher.acknowledgedCount, 0);
}
