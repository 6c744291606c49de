import { join } from 'node:path';
import { createServer } from 'node:net';
import { DomainError } from '../src/errors.js';
import { portError } from '../src/http/doors.js';
import type { Environment } from '../src/operation/environment.js';
import { table } from '../src/operation/environment-table.js';
import { listens } from '../src/operation/health.js';
import type { Check } from '../src/operation/health.js';
import { claimSoleBroker } from '../src/operation/sole-broker.js';
import type { SoleBroker } from '../src/operation/sole-broker.js';
import { closeAllBrokers } from '../src/broker/runtime.js';
import { prepareAccounts } from './accounts.js';
import type { Closing } from './closing.js';
import { prepareDatabase } from './database.js';
import { exportToFlows } from './export.js';
import { installFlows } from './flows.js';
import { openFront } from './front.js';
import { createGate } from './gate.js';
import type { Runtime } from './node-red.js';
import { startNodeRed } from './node-red.js';
import type { Progress } from './progress.js';

export interface Plan {
  readonly root: string;
  readonly environment: Environment;
  readonly progress: Progress;
  readonly closing: Closing;
  readonly stopping: AbortSignal;
}

/** The order of a start. Each part that opens something says how it is closed. */
export async function bringUp({ root, environment, progress, closing, stopping }: Plan): Promise<void> {
  const embeddedBroker = environment.MQTT_BROKER_HOST === undefined;
  const checks: Record<string, Check> = { start: () => 'starting' };
  const front = await openFront(environment, checks, createGate(environment));
  closing.add('HTTP', () => front.doors.close(1_000));
  if (embeddedBroker) {
    refuseWithoutTls(environment);
    await refuseBusyMqttPort(environment);
  }
  tellUnused(environment, progress);
  stopping.throwIfAborted();

  const database = await prepareDatabase(environment, closing, progress);
  checks['database'] = () => (database.state === 'up' ? undefined : (database.reason ?? 'down'));
  stopping.throwIfAborted();
  let sole: SoleBroker | undefined;
  if (embeddedBroker) {
    sole = await progress.step('broker', 'the right to run the embedded broker', () =>
      claimSoleBroker(database.url, environment.INSTANCE_ID),
    );
    closing.add('broker claim', () => sole?.close() ?? Promise.resolve());
  }
  const mqtt = await prepareAccounts(environment, database);
  exportToFlows(environment, { databaseUrl: database.url, mqtt: embeddedBroker ? mqtt : undefined });
  stopping.throwIfAborted();

  const installed = installFlows(root, join(environment.DATA_DIR, 'node-red'));
  let runtime: Runtime | undefined;
  runtime = await progress.step(
    'node-red',
    'nodes and flows',
    () => startNodeRed(front.server, require(join(root, 'settings.js')) as Record<string, unknown>),
    () => `${installed.tabs} tabs ${installed.outcome === 'kept' ? 'of yours' : 'installed'}`,
  );
  // After Node-RED: a broker outlives its node for a while, for a redeploy.
  closing.add('broker', () => closeAllBrokers({ drainMs: 500 }));
  closing.add('Node-RED', () => runtime?.stop() ?? Promise.resolve());
  for (const name of installed.newer)
    progress.note(`the shipped tab ${name} is newer than yours: npm run flows:update`);
  checks['flows'] = () => runtime?.problem;
  checks['broker'] = async () => sole?.problem ?? (await brokerProblem(environment));
  front.admit(runtime);
  delete checks['start'];
  if (runtime.problem !== undefined) progress.warn(runtime.problem);
  else await progress.step('mqtt', 'the broker', () => untilBrokerListens(environment, progress, stopping));
}

/** Better not at all than unencrypted against somebody's will. */
function refuseWithoutTls(environment: Environment): void {
  if (environment.MQTT_ALLOW_PLAINTEXT) return;
  throw new DomainError(
    'CONFIGURATION',
    'The embedded broker of this version speaks no TLS: set MQTT_ALLOW_PLAINTEXT=true behind a TLS proxy of your own, or MQTT_BROKER_HOST.',
  );
}

/** Told before anything heavy has begun; the broker itself opens the port much later ([C-4]). */
function refuseBusyMqttPort({ HOST: host, MQTT_BROKER_PORT: port }: Environment): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error) => reject(portError(error, { port, variable: 'MQTT_BROKER_PORT' }, host)));
    probe.listen(port, host, () => probe.close(() => resolve()));
  });
}

function tellUnused(environment: Environment, progress: Progress): void {
  const unused = [...table]
    .filter(([name, { later }]) => later && environment.explicit.has(name))
    .map(([name]) => name);
  if (unused.length > 0) progress.warn(`accepted, but without effect in this version: ${unused.join(', ')}`);
}

async function brokerProblem(environment: Environment): Promise<string | undefined> {
  const host = environment.MQTT_BROKER_HOST ?? reachable(environment.HOST);
  const port = environment.MQTT_BROKER_PORT;
  return (await listens(host, port)) ? undefined : `no MQTT broker answers on ${host}:${port}`;
}

const brokerMs = 10_000;

/** A flow without the broker node is allowed, so this only warns. */
async function untilBrokerListens(
  environment: Environment,
  progress: Progress,
  stopping: AbortSignal,
): Promise<void> {
  const deadline = Date.now() + brokerMs;
  let problem = await brokerProblem(environment);
  while (problem !== undefined && Date.now() < deadline && !stopping.aborted) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    problem = await brokerProblem(environment);
  }
  if (problem !== undefined) progress.warn(problem);
}

function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}
