import type { ApiReport } from './api/measured.js';
import type { CacheReport } from './cache/measured.js';
import type { EventsReport } from './events/measured.js';
import type { ForwardReport } from './forward/measured.js';
import { slowdownOf } from './forward/table.js';
import type { InjectionsReport } from './injections/measured.js';
import type { LiveReport } from './live/measured.js';
import type { MocksReport } from './mocks/measured.js';
import { wrongOf } from './injections/judge.js';
import type { Prepaid } from './prepaid/measured.js';
import type { Report } from './report.js';
import type { SeriesReport } from './series/measured.js';

/** A number beside what it should be. A miss is told and fails nothing: speed depends on the machine. */
export interface Goal {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly target: { readonly atLeast: number } | { readonly atMost: number } | null;
}

export function goalsOf(report: Report): Goal[] {
  const {
    entries,
    crowd,
    growth,
    ed25519,
    prepaid,
    injections,
    series,
    mocks,
    events,
    forward,
    live,
    api,
    cache,
  } = report;
  const entryOf = (word: string) => entries.find(({ name }) => name.includes(word));
  const ours = entryOf(' signed');
  const lossFree = (word: string, factor: number): Goal[] => {
    const peer = entryOf(word);
    if (ours === undefined || peer === undefined || peer.lossFreePerSecond === 0) return [];
    const value = ours.lossFreePerSecond / peer.lossFreePerSecond;
    const name = `signed, loss-free readings/s ÷ ${peer.name}'s`;
    return [{ name, value, unit: '×', target: { atLeast: factor } }];
  };
  const plain = entryOf('unsigned');
  return [
    ...lossFree('stock', 5),
    ...lossFree('script', 1.3),
    ...(ours === undefined || plain === undefined
      ? []
      : [
          {
            name: 'CPU per reading under flood, signed less unsigned',
            value: (ours.max.cpuSecondsPer100k - plain.max.cpuSecondsPer100k) * 10,
            unit: 'µs',
            target: null,
          },
        ]),
    ...(ours === undefined
      ? []
      : [ms(`p95 ${ours.fixed.step}, signed, ${ours.connections} connections`, ours.fixed.p95, 50)]),
    ...(crowd === null
      ? []
      : [
          ms(`p95 ${crowd.paced.step}, signed, ${crowd.meters} connections`, crowd.paced.p95, 50),
          ms(`p95 of ${crowd.burst.step}`, crowd.burst.p95, 100),
          atMost(`${crowd.meters} connections, all authenticated`, crowd.connectSeconds, 's', 30),
          atMost('memory of a connection', crowd.kbPerConnection, 'kB', 40),
          atMost('all cut at once, all back', crowd.returnSeconds, 's', 60),
          {
            name: `p95 of ${crowd.afterReturn.step}, at once`,
            value: crowd.afterReturn.p95 ?? Number.POSITIVE_INFINITY,
            unit: 'ms',
            target: null,
          },
          ms(
            `HTTP batch of ${crowd.batch.readings}, worst of ${crowd.batch.batches}: 202`,
            crowd.batch.acceptedMs,
            100,
          ),
          ms('and stored', crowd.batch.storedMs, 1_000),
        ]),
    ...(growth === null
      ? []
      : [
          atMost(
            `cost per reading at ${growth.rows.toLocaleString('en-US')} rows ÷ empty table`,
            growth.gateway.empty.committedPerSecond / growth.gateway.grown.committedPerSecond,
            '×',
            1.3,
          ),
          atMost(
            'the same as CPU of gateway and database',
            growth.gateway.grown.cpuSecondsPer100k / growth.gateway.empty.cpuSecondsPer100k,
            '×',
            1.3,
          ),
          {
            name: 'the same of writer and database alone',
            value: growth.writer.grown.microseconds / growth.writer.empty.microseconds,
            unit: '×',
            target: null,
          },
          {
            name: "the same as the database's CPU for the writer",
            value: growth.writer.grown.databaseMicroseconds / growth.writer.empty.databaseMicroseconds,
            unit: '×',
            target: null,
          },
        ]),
    ...(ed25519 === null
      ? []
      : [
          {
            name: `Ed25519 verified by ${ed25519.threads} thread(s)`,
            value: ed25519.perSecond,
            unit: '/s',
            target: null,
          },
          {
            name: 'longest stall of the event loop meanwhile',
            value: ed25519.stallMs,
            unit: 'ms',
            target: null,
          },
        ]),
    ...(prepaid === null ? [] : prepaidGoals(prepaid)),
    ...(injections === null ? [] : injectionGoals(injections)),
    ...(series === null ? [] : seriesGoals(series)),
    ...(events === null ? [] : eventGoals(events)),
    ...(forward === null ? [] : forwardGoals(forward)),
    ...(mocks === null ? [] : mockGoals(mocks)),
    ...(live === null ? [] : liveGoals(live)),
    ...(api === null ? [] : apiGoals(api)),
    ...(cache === null ? [] : cacheGoals(cache)),
  ];
}

function cacheGoals({ entries, cost }: CacheReport): Goal[] {
  return [
    ...entries
      .filter(({ name }) => name.startsWith('in '))
      .flatMap(({ name, hitShare, oldHere }) => [
        atLeast(`answers from the cache ${name}`, 100 * hitShare, '%', 70),
        atMost('old answers where it was written', oldHere, '', 0),
      ]),
    ratio('CPU of storing a reading, told by NOTIFY ÷ told to nobody', cost.notified.cpu, cost.untold.cpu),
    ratio('the same told to Redis', cost.redis.cpu, cost.untold.cpu),
  ];
}

function prepaidGoals({ ours, plain }: Prepaid): Goal[] {
  const { paced, flood, reports, commitToMeter } = ours;
  return [
    atLeast('payments accepted', flood.acceptedPerSecond, '/s', 500),
    ratio("the same ÷ plain pattern's", flood.acceptedPerSecond, plain.flood.acceptedPerSecond),
    ms(`p95 callback answer, ${paced.step}`, paced.answer.p95, 50),
    ratio("the same ÷ plain pattern's", paced.answer.p95 ?? Number.NaN, plain.paced.answer.p95 ?? Number.NaN),
    atLeast('consumption reports applied', reports.appliedPerSecond, '/s', 5_000),
    ratio("the same ÷ plain pattern's", reports.appliedPerSecond, plain.reports.appliedPerSecond),
    ms('p95 commit of a payment to command at the meter', commitToMeter?.p95 ?? null, 100),
    atMost('meters with a wrong balance', ours.books.metersWrong, '', 0),
  ];
}

function injectionGoals({ ours, peers }: InjectionsReport): Goal[] {
  const { levels, flood, random } = ours;
  return [
    ms('p95 of an injection beyond the meter, 100 waiting', levels[1]?.overhead.p95 ?? null, 25),
    ms('the same, about 1,000 waiting', levels[2]?.overhead.p95 ?? null, 100),
    atLeast('injections, flood', flood.appliedPerSecond, '/s', 200),
    ...peers.map(({ name, flood: its }) =>
      ratio(`the same ÷ ${name}'s`, flood.appliedPerSecond, its.appliedPerSecond),
    ),
    atMost(`wrong answers of ${random.calls} injections by chance`, wrongOf(random.verdicts), '', 0),
  ];
}

function mockGoals({ ours }: MocksReport): Goal[] {
  return ours.map(({ mocks, memoryMiB }) =>
    atMost(`memory of ${mocks.toLocaleString('en-US')} mocks in one process`, memoryMiB, 'MiB', 1_024),
  );
}

function forwardGoals(forward: ForwardReport): Goal[] {
  const [ours] = forward.entries;
  return [
    atMost('forwarding slows a flood of committed readings by', 100 * slowdownOf(forward), '%', 20),
    ...(ours === undefined
      ? []
      : [atMost('acknowledged and not in JetStream after NATS was killed', ours.away.lost, '', 0)]),
  ];
}

function eventGoals({ ours, plain }: EventsReport): Goal[] {
  const steps = [ours.paced, ours.flood, ours.bySql, ours.killed, ours.away];
  return [
    atLeast('device events through the outbox', ours.bySql.perSecond, '/s', 2_000),
    ms(`p95 change to listener, ${ours.paced.step}`, ours.paced.lag.p95, 100),
    ratio("the same ÷ usual script's", ours.paced.lag.p95 ?? Number.NaN, plain.paced.lag.p95 ?? Number.NaN),
    atMost(
      'changes never told',
      steps.reduce((sum, { lost }) => sum + lost, 0),
      '',
      0,
    ),
  ];
}

function liveGoals({ ours, stock, relay }: LiveReport): Goal[] {
  const [relayed] = relay;
  return [
    ...ours.steps.flatMap(({ listeners, eventsPerSecond, p95, missed }, index) => {
      const load = `${listeners} listeners at ${eventsPerSecond} events/s`;
      const its = stock.steps[index]?.p95 ?? Number.NaN;
      return [
        ms(`p95 event to last of ${load}`, p95, 50),
        ratio(`the same ÷ ${stock.name}'s`, p95 ?? Number.NaN, its),
        atMost(`messages missed, ${load}`, missed, '', 0),
      ];
    }),
    ...(relayed === undefined
      ? []
      : [atLeast('events relayed through Redis', relayed.arrivedPerSecond, '/s', 9_900)]),
  ];
}

function apiGoals({ perSecond, entries }: ApiReport): Goal[] {
  const [ours, ...peers] = entries;
  if (ours === undefined) return [];
  const name = `${perSecond} API calls/s`;
  return [
    ms(`p95 of ${name}`, ours.latency.p95, 50),
    ...peers.map((peer) =>
      ratio(`the same ÷ ${peer.name}'s`, ours.latency.p95 ?? Number.NaN, peer.latency.p95 ?? Number.NaN),
    ),
    ms(`p99 of ${name}`, ours.latency.p99, 150),
    atMost('readings answered with 201 and lost, or wrong', ours.lost + ours.wrong, '', 0),
  ];
}

function seriesGoals({ entries }: SeriesReport): Goal[] {
  return entries.flatMap(({ rows, compared }) =>
    compared
      .filter(({ question }) => question.startsWith('a month'))
      .flatMap(({ question, ours }) =>
        (['cold', 'warm'] as const).map((how) =>
          ms(`p95 of ${question}, ${rows.toLocaleString('en-US')} rows, ${how}`, ours[how].p95, 50),
        ),
      ),
  );
}

/** One line each: name, number, target, reached or missed. */
export function goalLines(goals: readonly Goal[]): string[] {
  const width = Math.max(0, ...goals.map(({ name }) => name.length));
  return goals.map((goal) => {
    const { name, value, unit, target } = goal;
    const number = `${figure(value)} ${unit}`.padStart(12);
    if (target === null) return `${name.padEnd(width)}  ${number}`;
    const wanted =
      'atLeast' in target ? `at least ${figure(target.atLeast)}` : `at most ${figure(target.atMost)}`;
    return `${name.padEnd(width)}  ${number}   ${wanted.padEnd(14)} ${isReached(goal) ? 'reached' : 'missed'}`;
  });
}

export function isReached({ value, target }: Goal): boolean {
  if (target === null) return true;
  return 'atLeast' in target ? value >= target.atLeast : value <= target.atMost;
}

function ms(name: string, value: number | null, most: number): Goal {
  return atMost(name, value ?? Number.POSITIVE_INFINITY, 'ms', most);
}

function ratio(name: string, ours: number, its: number): Goal {
  return { name, value: ours / its, unit: '×', target: null };
}

function atLeast(name: string, value: number, unit: string, least: number): Goal {
  return { name, value, unit, target: { atLeast: least } };
}

function atMost(name: string, value: number, unit: string, most: number): Goal {
  return { name, value, unit, target: { atMost: most } };
}

function figure(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0 });
}
