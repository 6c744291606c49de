import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';

export type { Logger } from 'pino';

export interface LoggingOptions {
  readonly level: string;
  /** Per component: `{ mqtt: 'trace' }`. */
  readonly levels?: Readonly<Record<string, string>> | undefined;
  /** Where lines go; stdout unless told otherwise. */
  readonly destination?: DestinationStream | undefined;
  /** Stands in every line. */
  readonly instance?: string | undefined;
}

/** Lines go through this one stream, so that loggers made before the configuration obey it too. */
const outlet: DestinationStream & { target: DestinationStream | undefined } = {
  target: undefined,
  write(line) {
    (this.target ??= pino.destination({ fd: 1, sync: true })).write(line);
  },
};

// Names under which a secret could slip into an object that is logged ([S-3]).
const secretNames = ['password', 'mqtt_password', 'secret', 'token', 'authorization', 'cookie'];

const root = pino(
  {
    base: {},
    level: 'trace',
    redact: { paths: [...secretNames, ...secretNames.map((name) => `*.${name}`)], censor: '(hidden)' },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  },
  outlet,
);
const components = new Map<string, Logger>();
let current: LoggingOptions = { level: 'info' };

/** The logger of a component (`mqtt`, `database`, `readings`, `http`, `flows`, `meter`, `start`, …), made once. */
export function logger(component: string): Logger {
  let found = components.get(component);
  if (found === undefined) {
    found = root.child({ component, ...named() }, { level: levelOf(component) });
    components.set(component, found);
  }
  return found;
}

/** Applies levels and destination to every component, those already made included. */
export function configureLogging(options: LoggingOptions): void {
  current = options;
  outlet.target = options.destination;
  for (const [component, found] of components) {
    found.level = levelOf(component);
    found.setBindings(named());
  }
}

function levelOf(component: string): string {
  return current.levels?.[component] ?? current.level;
}

function named(): { instance?: string } {
  return current.instance === undefined ? {} : { instance: current.instance };
}
