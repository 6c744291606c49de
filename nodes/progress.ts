import type { Database } from '../src/database/database.js';
import type { Host } from './define-node.js';

/** What a working node shows: counts per outcome, what waits, and why. */
export interface Progress {
  /** `count` items came in and are under way. */
  begin(count: number): void;
  /** They left, whatever became of them. */
  end(count: number): void;
  count(outcome: string, items: number): void;
  stop(): void;
}

const everyMs = 1000;

/**
 * Status once a second: `120 stored/s`, the total when nothing moves, amber while items wait for the database, red
 * with the reason while it is away and nothing waits; green again by itself. `trouble` is shown instead of counts.
 */
export function showProgress(
  host: Host<string>,
  outcomes: readonly string[],
  database?: Database,
  trouble: () => string | null = () => null,
): Progress {
  const totals = new Map(outcomes.map((outcome) => [outcome, 0]));
  const before = new Map(totals);
  let waiting = 0;

  const show = (): void => {
    if (database?.state === 'down') return showAway(host, waiting, database.reason);
    const rates: string[] = [];
    const sums: string[] = [];
    for (const [outcome, total] of totals) {
      const perSecond = total - (before.get(outcome) ?? 0);
      before.set(outcome, total);
      if (perSecond > 0) rates.push(`${perSecond.toLocaleString('en')} ${outcome}/s`);
      if (total > 0) sums.push(`${total.toLocaleString('en')} ${outcome}`);
    }
    const problem = trouble();
    if (problem !== null) host.status('warning', problem);
    else if (rates.length > 0) host.status('ok', rates.join(' · '));
    else host.status('ok', sums.length > 0 ? sums.join(' · ') : 'ready');
  };

  const stopListening = database?.onState(show);
  const timer = setInterval(show, everyMs);
  timer.unref();
  show();
  return {
    begin(count) {
      waiting += count;
    },
    end(count) {
      waiting -= count;
    },
    count(outcome, items) {
      if (items > 0) totals.set(outcome, (totals.get(outcome) ?? 0) + items);
    },
    stop() {
      clearInterval(timer);
      stopListening?.();
    },
  };
}

function showAway(host: Host<string>, waiting: number, reason: string | null): void {
  if (waiting > 0) host.status('warning', `database away, ${waiting.toLocaleString('en')} held`);
  else host.status('error', `database away: ${reason ?? 'no answer'}`);
}
