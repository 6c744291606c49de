import { logger } from '../src/operation/logging.js';

/** What somebody sees who waits for the start: every step with its time, and what a long one is waiting for. */
export interface Progress {
  /** `done` says in a few words what came out of it. */
  step<T>(
    name: string,
    waitingFor: string,
    work: () => Promise<T> | T,
    done?: (result: T) => string,
  ): Promise<T>;
  note(text: string): void;
  warn(text: string): void;
  addresses(title: string, rows: readonly (readonly [what: string, address: string])[]): void;
}

/** A step that takes longer says so after this time, and again each time as much has passed. */
const patienceMs = 3_000;

export function createProgress(pretty: boolean): Progress {
  const show = pretty ? people : machines;
  return {
    async step(name, waitingFor, work, done = () => '') {
      const from = performance.now();
      const timer = setInterval(() => show.waiting(name, waitingFor, seconds(from)), patienceMs);
      try {
        const result = await work();
        show.done(name, done(result), seconds(from));
        return result;
      } finally {
        clearInterval(timer);
      }
    },
    note: (text) => show.note(text),
    warn: (text) => show.warn(text),
    addresses: (title, rows) => show.addresses(title, rows),
  };
}

const log = logger('start');

const people = {
  waiting: (name: string, what: string, took: string) =>
    print(`… ${name.padEnd(10)} waiting for ${what}, ${took} s so far`),
  done: (name: string, result: string, took: string) =>
    print(`✓ ${name.padEnd(10)} ${result.padEnd(52)} ${took.padStart(5)} s`),
  note: (text: string) => print(`· ${text}`),
  warn: (text: string) => print(`! ${text}`),
  addresses(title: string, rows: readonly (readonly [string, string])[]) {
    const lines = rows.map(([what, address]) => `    ${what.padEnd(10)} ${address}`);
    process.stdout.write(`\n  ${title}\n\n${lines.join('\n')}\n\n  Ctrl-C stops.\n\n`);
  },
};

const machines: typeof people = {
  waiting: (name, what, took) =>
    log.info({ step: name, seconds: Number(took) }, `${name}: waiting for ${what}`),
  done: (name, result, took) =>
    log.info({ step: name, seconds: Number(took) }, result === '' ? name : `${name}: ${result}`),
  note: (text) => log.info(text),
  warn: (text) => log.warn(text),
  addresses(title, rows) {
    log.info(
      { addresses: Object.fromEntries(rows.map(([what, address]) => [what.toLowerCase(), address])) },
      title,
    );
    for (const [what, address] of rows) log.info(`${what}: ${address}`);
  },
};

function print(line: string): void {
  process.stdout.write(`  ${line}\n`);
}

function seconds(from: number): string {
  return ((performance.now() - from) / 1000).toFixed(1);
}
