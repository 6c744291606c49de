import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '../src/errors.js';
import { EnvironmentError, parseEnvironment } from '../src/operation/environment.js';
import type { Environment } from '../src/operation/environment.js';
import { mqttWays } from '../src/operation/mqtt-ways.js';
import { logger } from '../src/operation/logging.js';
import { placeOf, urlOf } from './address.js';
import { bringUp } from './bring-up.js';
import { createClosing } from './closing.js';
import type { Closing } from './closing.js';
import { openLog } from './log.js';
import { createProgress } from './progress.js';

/** [C-4]: whatever hangs, the process is gone after this. */
const stopMs = 9_500;

/** Starts everything and returns; the process then lives until a signal. A start that fails says why and exits with 1. */
export async function start(root: string): Promise<void> {
  const from = performance.now();
  // Without it express sends stack traces to callers.
  process.env['NODE_ENV'] ??= 'production';
  const environment = readEnvironment(root);
  const pretty = openLog(environment);
  const progress = createProgress(pretty);
  const closing = createClosing();
  const stopping = stopOnSignals(closing);
  try {
    mkdirSync(environment.DATA_DIR, { recursive: true, mode: 0o755 });
    await bringUp({ root, environment, progress, closing, stopping: stopping.signal });
    if (stopping.signal.aborted) return;
    const took = ((performance.now() - from) / 1000).toFixed(1);
    progress.addresses(`Meterflow runs (${took} s).`, addresses(environment));
  } catch (error) {
    if (stopping.signal.aborted) return;
    const known = error instanceof DomainError ? error.message : undefined;
    if (known === undefined) logger('start').fatal({ err: error }, 'the start failed');
    else process.stderr.write(`${known}\n`);
    await stopping.exit(1);
  } finally {
    stopping.started();
  }
}

function readEnvironment(root: string): Environment {
  const file = join(root, '.env');
  if (existsSync(file)) process.loadEnvFile(file);
  try {
    return parseEnvironment(process.env);
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    process.stderr.write(
      `Meterflow does not start:\n${error.problems.map((problem) => `  - ${problem}`).join('\n')}\n`,
    );
    return process.exit(1);
  }
}

interface Stopping {
  readonly signal: AbortSignal;
  exit(code: number): Promise<void>;
  /** The start is over, for better or worse: what it has opened is known, and may be closed. */
  started(): void;
}

function stopOnSignals(closing: Closing): Stopping {
  const controller = new AbortController();
  const log = logger('start');
  let started = nothing;
  const startOver = new Promise<void>((resolve) => {
    started = resolve;
  });

  async function exit(code: number): Promise<void> {
    setTimeout(() => {
      log.error(`not everything stopped within ${stopMs} ms`);
      process.exit(1);
    }, stopMs).unref();
    await closing.run();
    process.exit(code);
  }

  function stop(reason: string, code: number): void {
    if (controller.signal.aborted) return;
    controller.abort();
    log.info(`stopping: ${reason}`);
    // A step under way has a child or a socket that is not known yet.
    const patience = new Promise<void>((resolve) => void setTimeout(resolve, 4_000).unref());
    void Promise.race([startOver, patience]).then(() => exit(code));
  }

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal, 0));
  // The wrapper that found the right Node.js is gone.
  process.on('disconnect', () => stop('the parent process is gone', 0));
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, event);
      stop(event, 1);
    });
  }
  return { signal: controller.signal, exit, started };
}

function nothing(): void {}

function addresses(environment: Environment): [string, string][] {
  const http = urlOf(environment);
  return [
    ['Editor', `${http}/`],
    ['Dashboard', `${http}/dashboard`],
    ['API', `${http}/api/meter_data`],
    ['API docs', `${http}/docs/index.html`],
    ...(environment.HTTP_COMPAT_PORTS ?? []).map((port): [string, string] => [
      'API, too',
      `${urlOf(environment, port)}/api/meter_data`,
    ]),
    ...mqttAddresses(environment),
  ];
}

function mqttAddresses(environment: Environment): [string, string][] {
  const { MQTT_BROKER_HOST: external, MQTT_BROKER_PORT: port, MQTT_USE_TLS: tls, HOST: host } = environment;
  if (external !== undefined) return [['MQTT', `${tls ? 'mqtts' : 'mqtt'}://${placeOf(external, port)}`]];
  return mqttWays(environment).map((way) => [way.name, `${way.scheme}://${placeOf(host, way.port)}`]);
}
