import assert from 'node:assert/strict';
import { meterIdOf } from '../load/reading-plan.js';
import { dayMs, type History } from '../load/history.js';
import type { Answer } from './callers.js';
import { kinds, pathOf } from './plan.js';

/** What somebody said, question by question: the figures that everybody's answer has. */
export type Sample = Readonly<Record<string, unknown>>;

const sampleMeters = 5;

/** One answer of each kind of a few meters of the first owner, before anything is written. @throws when one is not 200 */
export async function sampleOf(ask: (path: string) => Promise<Answer>, { until }: History): Promise<Sample> {
  const paths = Array.from({ length: sampleMeters }, (_, n) => meterIdOf(n))
    .flatMap((meter) =>
      kinds.map((kind) => (kind.startsWith('submit') ? '' : pathOf(kind, meter, until - 3 * dayMs))),
    )
    .filter((path) => path !== '');
  const said: Record<string, unknown> = {};
  for (const path of new Set(paths)) {
    const { status, text } = await ask(path);
    if (status !== 200) throw new Error(`GET ${path} answered ${status}: ${text.slice(0, 300)}`);
    said[path] = figuresOf(JSON.parse(text));
  }
  return said;
}

export function assertSame(name: string, first: Sample, said: Sample): void {
  for (const [path, figures] of Object.entries(first))
    assert.deepEqual(said[path], figures, `${name} answers GET ${path} otherwise`);
}

/** Names that not everybody's answer has are left out, and instants written in one way. */
const names = new Set(
  (
    'data total meter_id kwh_amount reading_timestamp hour_bucket day_bucket reading_count total_kwh avg_kwh min_kwh ' +
    'max_kwh total_readings minted_kwh balance'
  ).split(' '),
);

export function figuresOf(answer: unknown): unknown {
  if (Array.isArray(answer)) return answer.map(figuresOf);
  if (typeof answer !== 'object' || answer === null) return answer;
  const known = Object.entries(answer).filter(([name]) => names.has(name));
  return Object.fromEntries(known.map(([name, value]) => [name, figuresOf(value)]));
}
