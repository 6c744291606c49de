/**
 * The players: a process of its own that is the callers, the vendor and the meters of an injection, and so knows how
 * much of the time was the meter's. It is forked by cast.ts and does one order at a time.
 */
import type { Login } from '../load/mqtt-wire.js';
import { addLatency, emptyLatencies, type LatencyCounts } from '../load/latency-histogram.js';
import { makeCalls, type Pace } from './callers.js';
import { judge, overheadOf, type Fact, type Verdicts } from './judge.js';
import { openMouths, type MeterMouths } from './meter-mouths.js';
import type { Call } from './plan.js';
import { playMeters } from './played-meters.js';
import { openVendor, type PlayedVendor } from './played-vendor.js';

/** Answered with the vendor's address. */
export interface VendorOrder {
  readonly order: 'vendor';
}

export interface MetersOrder {
  readonly order: 'meters';
  readonly port: number;
  readonly logins: readonly Login[];
}

export type PlayOrder = {
  readonly order: 'play';
  readonly url: string;
  readonly calls: readonly Call[];
  /** Calls that come earlier fill the house; overheads of them are left out. */
  readonly fromMs: number;
} & Pace;

export interface Played {
  readonly calls: number;
  readonly verdicts: Verdicts;
  /** Of wrong ones. */
  readonly examples: readonly string[];
  /** Tokens that came to their meter when an earlier one of it was open. */
  readonly doubtful: readonly number[];
  /** Answer at the caller since its call was due, less the meter's own time, ms. */
  readonly overheads: LatencyCounts;
  readonly applied: number;
  readonly seconds: number;
  readonly waitingMean: number;
  readonly waitingMost: number;
  /** The vendor was asked again for a token that it had taken. */
  readonly repeats: number;
  readonly facts: readonly Fact[];
  readonly connectionsLost: readonly string[];
  /** Of the players' own process, of one core. */
  readonly cpuShare: number;
}

type Order = VendorOrder | MetersOrder | PlayOrder | { readonly order: 'end' };

const restMs = 30_000;
let vendor: PlayedVendor | undefined;
let mouths: MeterMouths | undefined;

process.on('message', (order: Order) => {
  void obey(order).then(
    (answer) => process.send?.({ answer }),
    (error: unknown) => process.send?.({ error: error instanceof Error ? error.message : String(error) }),
  );
});

async function obey(order: Order): Promise<Played | string> {
  if (order.order === 'play') return play(order);
  if (order.order === 'vendor') vendor = await openVendor();
  else if (order.order === 'meters') mouths = await openMouths(order.port, order.logins);
  else end();
  return vendor?.url ?? '';
}

function end(): void {
  vendor?.close();
  mouths?.close();
  setTimeout(() => process.exit(0), 200);
}

async function play(order: PlayOrder): Promise<Played> {
  if (vendor === undefined || mouths === undefined) throw new Error('There is no vendor, or no meter.');
  const meters = playMeters(mouths);
  const repeatsBefore = vendor.repeats;
  vendor.expect(order.calls, meters);
  const cpuBefore = process.cpuUsage();
  const begun = performance.now();
  const { heard, ...made } = await makeCalls(order.url, order.calls, order);
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpuShare = (user + system) / 1_000 / (performance.now() - begun);
  await rest(() => meters.pending === 0 && mouths?.unacknowledged === 0);
  const { facts } = vendor;
  const overheads = emptyLatencies();
  const first = Math.min(...heard.map(({ dueAt }) => dueAt));
  for (const one of heard) {
    const ms = one.dueAt - first < order.fromMs ? undefined : overheadOf(one, facts.get(one.token));
    if (ms !== undefined) addLatency(overheads, ms);
  }
  return {
    ...judge(heard, facts),
    ...made,
    calls: heard.length,
    overheads: [...overheads],
    applied: heard.filter(({ status }) => status === 200).length,
    repeats: vendor.repeats - repeatsBefore,
    facts: [...facts.values()],
    connectionsLost: mouths.lost,
    cpuShare,
  };
}

/** Late answers are still to come when the last caller has heard. */
async function rest(isStill: () => boolean): Promise<void> {
  const until = performance.now() + restMs;
  while (!isStill() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
}
