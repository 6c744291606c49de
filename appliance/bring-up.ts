import { join } from 'node:path';
import { createServer } from 'node:net';
import { DomainError } from '../src/errors.js';
import { portError } from '../src/http/doors.js';
import type { Environment } from '../src/operation/environment.js';
import { listens } from '../src/operation/health.js';
import type { Check } from '../src/operation/health.js';
import { mqttWays } from '../src/operation/mqtt-ways.js';
import type { MqttWay } from '../src/operation/mqtt-ways.js';
import { claimSoleBroker } from '../src/operation/sole-broker.js';
import type { SoleBroker } from '../src/operation/sole-broker.js';
import { prepareQueue } from '../src/batches/queue.js';
import { readCertificates } from '../src/broker/certificates.js';
import { closeAllBrokers } from '../src/broker/runtime.js';
import { closeForwarder } from '../src/forward/runtime.js';
import { watchLedger } from '../src/ledger/audit.js';
import { closeAllLive } from '../src/live/runtime.js';
import { prepareAccounts } from './accounts.js';
import type { Closing } from './closing.js';
import { prepareDatabase } from './database.js';
import { exportToFlows } from './export.js';
import { installFlows } from './flows.js';
import { openFront } from './front.js';
import { prepareGate } from './gatekeeper.js';
import { checkMasterKey } from './master-key.js';
import type { Runtime } from './node-red.js';
import { startNodeRed } from './node-red.js';
import type { Progress } from './progress.js';
import { createRoutes } from './routes.js';
import { prepareTariff } from './tariff.js';

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
  const front = await openFront(environment, checks);
  closing.add('HTTP', () => front.close(1_000));
  if (embeddedBroker) {
    checkCertificates(environment);
    for (const way of mqttWays(environment)) await refuseBusyPort(environment.HOST, way);
    warnOfMissingCertificates(environment, progress);
  }
  stopping.throwIfAborted();

  const database = await prepareDatabase(environment, closing, progress);
  const prepared = prepareQueue(database);
  closing.add('batch queue', () => prepared);
  checks['database'] = () => (database.state === 'up' ? undefined : (database.reason ?? 'down'));
  stopping.throwIfAborted();
  let sole: SoleBroker | undefined;
  if (embeddedBroker) {
    sole = await progress.step('broker', 'the right to run the embedded broker', () =>
      claimSoleBroker(database.url, environment.INSTANCE_ID),
    );
    closing.add('broker claim', () => sole?.close() ?? Promise.resolve());
  }
  await checkMasterKey(environment, database);
  const mqtt = await prepareAccounts(environment, database);
  await prepareTariff(environment, database, progress);
  const books = watchLedger(database);
  closing.add('ledger audit', () => books.close());
  exportToFlows(environment, {
    databaseUrl: database.url,
    mqtt: embeddedBroker ? mqtt : undefined,
    ownUrl: front.ownUrl,
  });
  stopping.throwIfAborted();

  const installed = installFlows(root, join(environment.DATA_DIR, 'node-red'));
  let runtime: Runtime | undefined;
  const gate = prepareGate(environment, database, closing);
  const routes = createRoutes({ closed: environment.METERFLOW_PROFILE === 'production' });
  const settings = require(join(root, 'settings.js')) as Record<string, unknown>;
  runtime = await progress.step(
    'node-red',
    'nodes and flows',
    () => startNodeRed(front.server, settings, routes),
    () => `${installed.tabs} tabs ${installed.outcome === 'kept' ? 'of yours' : 'installed'}`,
  );
  // After the broker: what that still settles is kept for NATS.
  closing.add('forwarding', () => closeForwarder());
  // After Node-RED: a broker outlives its node for a while, for a redeploy.
  closing.add('broker', () => closeAllBrokers({ drainMs: 500 }));
  closing.add('live events', () => closeAllLive());
  closing.add('Node-RED', () => runtime?.stop() ?? Promise.resolve());
  for (const name of installed.newer)
    progress.note(`the shipped tab ${name} is newer than yours: npm run flows:update`);
  checks['flows'] = () => runtime?.problem;
  checks['broker'] = async () => sole?.problem ?? (await brokerProblem(environment));
  front.admit(runtime, { gate, routes });
  delete checks['start'];
  if (runtime.problem !== undefined) progress.warn(runtime.problem);
  else await progress.step('mqtt', 'the broker', () => untilBrokerListens(environment, progress, stopping));
}

/** Files that cannot be used are told before anything heavy has begun, as a sentence; the broker reads them later. */
function checkCertificates(environment: Environment): void {
  const { MQTT_TLS_CERT: certFile, MQTT_TLS_KEY: keyFile, MQTT_TLS_CA: caFile } = environment;
  if (certFile !== undefined && keyFile !== undefined) {
    readCertificates({ certFile, keyFile, ...(caFile === undefined ? {} : { caFile }) });
  } else if (!environment.MQTT_ALLOW_PLAINTEXT) {
    // Better not at all than unencrypted against somebody's will.
    throw new DomainError('CONFIGURATION', 'Without MQTT_ALLOW_PLAINTEXT the broker needs MQTT_TLS_CERT.');
  }
}

function warnOfMissingCertificates(environment: Environment, progress: Progress): void {
  if (environment.DEVICE_AUTH_METHOD !== 'mtls') return;
  if (environment.VIRTUAL_METERS > 0)
    progress.warn(
      'DEVICE_AUTH_METHOD=mtls: virtual meters have no certificates and are refused; set VIRTUAL_METERS=0',
    );
  if (environment.MOCK_SYNC)
    progress.warn('DEVICE_AUTH_METHOD=mtls: mocks have no certificates and are refused; set MOCK_SYNC=off');
}

/** Told before anything heavy has begun; the broker itself opens the port much later ([C-4]). */
function refuseBusyPort(host: string, way: MqttWay): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error) => reject(portError(error, way, host)));
    probe.listen(way.port, host, () => probe.close(() => resolve()));
  });
}

async function brokerProblem(environment: Environment): Promise<string | undefined> {
  const external = environment.MQTT_BROKER_HOST;
  if (external !== undefined) return silence('MQTT broker', external, environment.MQTT_BROKER_PORT);
  const host = reachable(environment.HOST);
  const problems = await Promise.all(
    mqttWays(environment).map(({ name, port }) => silence(`${name} broker`, host, port)),
  );
  return problems.filter((problem) => problem !== undefined).join('; ') || undefined;
}

async function silence(what: string, host: string, port: number): Promise<string | undefined> {
  return (await listens(host, port)) ? undefined : `no ${what} answers on ${host}:${port}`;
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
