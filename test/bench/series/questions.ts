import { meterIdOf } from '../load/reading-plan.js';
import { dayMs, yearDays, type History } from '../load/history.js';

/** What is asked, of a different meter each turn. */
export interface SeriesQuestion {
  readonly name: string;
  /** How many different ones there are. */
  readonly different: number;
  readonly path: (turn: number) => string;
}

export function questionsOf(history: History, most: number): SeriesQuestion[] {
  const { meters, yearMeters, until } = history;
  // A prime step: no meter soon again, neighbours never one after the other.
  const meterOf = (turn: number): string => meterIdOf((turn * 7_919) % meters);
  const span = (days: number): string =>
    `start=${new Date(until - days * dayMs).toISOString()}&end=${new Date(until).toISOString()}`;
  const fleet = Math.min(most, meters);
  return [
    {
      name: 'a month of one meter by hour',
      different: fleet,
      path: (turn) => `/api/meters/${meterOf(turn)}/stats/hourly?${span(31)}`,
    },
    {
      name: 'a year of one meter by day',
      different: Math.min(most, yearMeters),
      path: (turn) => `/api/meters/${meterIdOf(turn % yearMeters)}/stats/daily?${span(yearDays - 1)}`,
    },
    {
      name: 'first page of one meter',
      different: fleet,
      // Another order than above: what is still cold has to be asked of.
      path: (turn) => `/api/meters/${meterOf(turn + fleet)}/readings`,
    },
    {
      name: 'totals of an owner of 100 meters',
      different: 1,
      path: () => '/api/meters/stats',
    },
  ];
}
