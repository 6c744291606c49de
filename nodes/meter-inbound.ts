import type { NodeAPI, NodeDef } from 'node-red';
import { deliveries } from '../src/broker/deliveries.js';
import { untilCommitted, type Database } from '../src/database/database.js';
import { createDeviceNames } from '../src/devices/names.js';
import { openInbound, type Inbound, type InboundSink } from '../src/inbound/inbound.js';
import type { MqttLink } from '../src/mqtt/link.js';
import { claimSoleBroker } from '../src/operation/sole-broker.js';
import { createQuarantine } from '../src/readings/quarantine.js';
import { unsettledRejection } from '../src/readings/unsettled.js';
import { defineNode, type Host } from './define-node.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  mqtt: string;
  group: string;
  inflightMax: string;
  flowDeadlineSeconds: string;
  sessionHours: string;
}

type Output = keyof InboundSink;

const everyMs = 1000;
/** A commit takes milliseconds; a hold this long has a cause that people should see. */
const heldLongMs = 3000;

/** What devices say to a broker of somebody else's, as the same batches that meter-auth-broker makes. */
export default function (RED: NodeAPI): void {
  defineNode<Config, Output>(RED, {
    type: 'meter-inbound',
    outputs: ['readings', 'messages', 'rejected'],
    start(config, host) {
      const link = host.use<MqttLink>(config.mqtt, 'broker');
      if (!link.isExternal) {
        host.status('idle', 'off: the embedded broker is used (MQTT_BROKER_HOST is not set)');
        return {};
      }
      const settings = settingsOf(config);
      const database = host.use<Database>(config.database, 'database');
      const names = createDeviceNames(database);
      const quarantine = createQuarantine(database);
      const closing = new AbortController();
      const { host: broker, port, tls, trust, username, password } = link;
      const inbound = openInbound({
        ...settings,
        host: broker,
        port,
        tls,
        trust,
        username,
        password,
        // The shared connection of meter-mqtt has the name itself.
        clientId: `${link.clientId}-in`,
        names,
        sink: sinkOf(host),
        untilAnswered: (ask) => untilCommitted(database, ask, { signal: closing.signal }),
        unsettled: (delivery) => quarantine.keep([unsettledRejection(delivery)], { signal: host.signal }),
        claim: () => claimSole(database, link.clientId),
        log: {
          info: (line, details) => host.node.log(logLine(line, details)),
          warn: (line, details) => host.node.warn(logLine(line, details)),
        },
      });
      // Until the flow is whole.
      inbound.pause();
      const shown = showEverySecond(host, inbound, database, `${broker}:${port}`);
      return {
        deploys: { stopping: () => inbound.pause(), started: () => inbound.resume() },
        async close() {
          clearInterval(shown);
          closing.abort();
          await inbound.close();
          await names.close();
        },
      };
    },
  });
}

function settingsOf(config: Config) {
  const whole = true;
  return {
    group: textSetting(config.group, ''),
    limits: {
      inflightMax: numberSetting(config.inflightMax, 2_000, {
        name: 'Messages in flight',
        min: 10,
        max: 65_535,
        whole,
      }),
      flowDeadlineMs:
        1000 * numberSetting(config.flowDeadlineSeconds, 15, { name: "Flow's deadline", min: 1, max: 300 }),
      sessionSeconds:
        3600 * numberSetting(config.sessionHours, 24, { name: 'Session', min: 1, max: 8760, whole }),
    },
  };
}

/** One message per batch. */
function sinkOf(host: Host<Output>): InboundSink {
  const send = (output: Output) => (payload: readonly unknown[]) =>
    host.emit({ [output]: { topic: output, payload } });
  return { readings: send('readings'), messages: send('messages'), rejected: send('rejected') };
}

/** Without shared subscriptions one process per database takes in, be it through the embedded broker or like this. */
async function claimSole(database: Database, instance: string): ReturnType<typeof claimSoleBroker> {
  try {
    return await claimSoleBroker(database.url, instance);
  } catch (cause) {
    if (database.state === 'down') throw cause;
    throw new Error('standing by: another instance takes in, and this broker has no shared subscriptions', {
      cause,
    });
  }
}

function showEverySecond(
  host: Host<Output>,
  inbound: Inbound,
  database: Database,
  place: string,
): NodeJS.Timeout {
  let before = 0;
  const show = (): void => {
    const { received } = inbound.stats();
    showInbound(host, inbound, database, place, received - before);
    before = received;
  };
  show();
  return setInterval(show, everyMs).unref();
}

function showInbound(
  host: Host<Output>,
  inbound: Inbound,
  database: Database,
  place: string,
  perSecond: number,
): void {
  const { state, reason, retryAt, isShared, refused, inflight, givenUp } = inbound.stats();
  if (state !== 'open') {
    const again =
      retryAt === null ? '' : ` · again in ${Math.max(1, Math.ceil((retryAt - Date.now()) / 1000))} s`;
    if (reason === null) host.status('busy', `${place} · connecting`);
    else host.status(reason.startsWith('standing by') ? 'idle' : 'error', `${place} · ${reason}${again}`);
    return;
  }
  const held = deliveries.stats().heldOldestMs;
  const where = `${place} · ${isShared ? 'shared' : 'alone'}`;
  if (database.state === 'down')
    host.status('warning', `${where} · database away${inflight > 0 ? `, ${count(inflight)} held` : ''}`);
  else if (held > heldLongMs)
    host.status('warning', `${where} · ${count(inflight)} held for ${Math.round(held / 1000)} s`);
  else if (refused.length > 0) host.status('warning', `${where} · refused: ${refused.join(', ')}`);
  else {
    const lost = givenUp > 0 ? ` · ${count(givenUp)} given up` : '';
    host.status('ok', `${where} · ${count(perSecond)}/s · ${count(inflight)} in flight${lost}`);
  }
}

function count(number: number): string {
  return number.toLocaleString('en');
}

function logLine(line: string, details?: object): string {
  return details === undefined ? line : `${line} ${JSON.stringify(details)}`;
}
