import type { Database } from '../src/database/database.js';
import type { Host } from './define-node.js';

const everyMs = 1000;

/**
 * Status once a second: `12 events/s · 3 waiting · lag 40 ms`, the total when nothing moves, amber with the reason while
 * nothing leaves, red while the database is away.
 */
export function showEventFlow(host: Host<string>, database: Database, waiting: () => number) {
  let total = 0;
  let before = 0;
  let lagMost = 0;
  let problem: string | null = null;
  let pace: string[] = [];

  const tick = (): void => {
    const perSecond = total - before;
    const lag = `lag ${Math.round(lagMost * 1000).toLocaleString('en')} ms`;
    pace = perSecond > 0 ? [`${perSecond.toLocaleString('en')} events/s`, lag] : [];
    before = total;
    lagMost = 0;
    show();
  };

  const show = (): void => {
    if (database.state === 'down')
      return host.status('error', `database away: ${database.reason ?? 'no answer'}`);
    const open = waiting();
    const queue = open > 0 ? [`${open.toLocaleString('en')} waiting`] : [];
    if (problem !== null) return host.status('warning', [...queue, problem].join(' · '));
    const [rate, lag] = pace;
    if (rate !== undefined) return host.status('ok', [rate, ...queue, lag].join(' · '));
    const sum = total > 0 ? `${total.toLocaleString('en')} published` : 'ready';
    host.status(open > 0 ? 'busy' : 'ok', [sum, ...queue].join(' · '));
  };

  const stopListening = database.onState(show);
  const timer = setInterval(tick, everyMs);
  timer.unref();
  return {
    published(lagSeconds: number): void {
      total += 1;
      lagMost = Math.max(lagMost, lagSeconds);
    },
    /** Why nothing leaves; null: it does again. */
    trouble(reason: string | null): void {
      if (reason !== null && problem === null) host.node.warn(`Device events wait: ${reason}`);
      problem = reason;
      show();
    },
    stop(): void {
      clearInterval(timer);
      stopListening();
    },
  };
}
