import { configureLogging } from '../src/operation/logging.js';
import type { Environment } from '../src/operation/environment.js';

/** @returns whether people read along; the formatter for them is loaded only then */
export function openLog(environment: Environment): boolean {
  const pretty = (environment.LOG_FORMAT ?? (process.stdout.isTTY ? 'pretty' : 'json')) === 'pretty';
  configureLogging({
    level: environment.LOG_LEVEL,
    levels: environment.LOG_LEVELS,
    ...(pretty ? { destination: forPeople() } : { instance: environment.INSTANCE_ID }),
  });
  return pretty;
}

function forPeople(): { write(line: string): void } {
  const { PinoPretty } = require('pino-pretty') as typeof import('pino-pretty');
  return PinoPretty({
    sync: true,
    colorize: process.stdout.isTTY,
    ignore: 'component',
    messageFormat: '[{component}] {msg}',
    translateTime: 'SYS:HH:MM:ss',
  });
}
