import type { NodeAPI, NodeDef } from 'node-red';
import type { BrokerOptions, BrokerSink, BrokerTls } from '../src/broker/options.js';
import type { Database } from '../src/database/database.js';
import { createDirectory } from '../src/devices/principals.js';
import { DomainError } from '../src/errors.js';
import { createQuarantine } from '../src/readings/quarantine.js';
import { unsettledRejection } from '../src/readings/unsettled.js';
import { runBroker } from './broker-run.js';
import { defineNode, type Host } from './define-node.js';
import { flagSetting, numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  host: string;
  port: string;
  externalHost: string;
  plaintext: boolean | string;
  tlsPort: string;
  tlsCert: string;
  tlsKey: string;
  tlsCa: string;
  wsPort: string;
  deviceCertificates: string;
  packetBytesMax: string;
  ratePerSecond: string;
  burst: string;
  subscriptionsMax: string;
  loginRefusalsPerSecond: string;
  inflightMax: string;
  inflightMegabytesMax: string;
  flowDeadlineSeconds: string;
}

type Output = keyof BrokerSink;

/** The broker as a node: what devices say leaves in batches; the acknowledgement waits in the delivery table. */
export default function (RED: NodeAPI): void {
  defineNode<Config, Output>(RED, {
    type: 'meter-auth-broker',
    outputs: ['readings', 'messages', 'sessions'],
    start(config, host) {
      const external = textSetting(config.externalHost, '');
      if (external !== '') {
        host.status('idle', `off: MQTT_BROKER_HOST is ${external}`);
        return {};
      }
      const settings = settingsOf(config);
      const database = host.use<Database>(config.database, 'database');
      const directory = createDirectory(database);
      const quarantine = createQuarantine(database);
      const run = runBroker(host, database, {
        ...settings,
        directory,
        sink: sinkOf(host),
        unsettled: (delivery) => quarantine.keep([unsettledRejection(delivery)], { signal: host.signal }),
        log: {
          info: (line, details) => host.node.log(logLine(line, details)),
          warn: (line, details) => host.node.warn(logLine(line, details)),
        },
      });
      return {
        deploys: run,
        async close() {
          await run.close();
          await directory.close();
        },
      };
    },
  });
}

type Settings = Pick<
  BrokerOptions,
  'host' | 'port' | 'tls' | 'webSocketPort' | 'deviceCertificates' | 'limits'
>;

function settingsOf(config: Config): Settings {
  const whole = true;
  const tls = tlsOf(config);
  const isPlain = flagSetting(config.plaintext, true);
  if (!isPlain && tls === undefined) {
    throw new DomainError('CONFIGURATION', 'Without plain MQTT a certificate and its key are needed.');
  }
  const port = portSetting(config.port, 1883, 'Port');
  const webSocketPort = textSetting(config.wsPort, '');
  return {
    host: textSetting(config.host, '127.0.0.1'),
    port: isPlain ? port : null,
    tls,
    webSocketPort:
      webSocketPort === '' ? undefined : portSetting(webSocketPort, 0, 'Port of MQTT over WebSocket'),
    deviceCertificates: /^(required|mtls)$/i.test(textSetting(config.deviceCertificates, ''))
      ? 'required'
      : 'optional',
    limits: {
      packetBytesMax: numberSetting(config.packetBytesMax, 262_144, {
        name: 'Largest packet',
        min: 1024,
        max: 16_777_216,
        whole,
      }),
      ratePerSecond: numberSetting(config.ratePerSecond, 50, {
        name: 'Sustained rate',
        min: 1,
        max: 1_000_000,
      }),
      burst: numberSetting(config.burst, 1000, { name: 'Burst', min: 1, max: 1_000_000, whole }),
      subscriptionsMax: numberSetting(config.subscriptionsMax, 100, {
        name: 'Subscriptions',
        min: 1,
        max: 10_000,
        whole,
      }),
      loginRefusalsPerSecond: numberSetting(config.loginRefusalsPerSecond, 10, {
        name: 'Refused logins',
        min: 1,
        max: 100_000,
      }),
      inflightMax: numberSetting(config.inflightMax, 20_000, {
        name: 'Messages in flight',
        min: 100,
        max: 1_000_000,
        whole,
      }),
      inflightBytesMax:
        1024 *
        1024 *
        numberSetting(config.inflightMegabytesMax, 64, { name: 'Bytes in flight', min: 1, max: 4096, whole }),
      flowDeadlineMs:
        1000 * numberSetting(config.flowDeadlineSeconds, 15, { name: "Flow's deadline", min: 1, max: 300 }),
    },
  };
}

/** MQTTS is on when there is a certificate. */
function tlsOf(config: Config): BrokerTls | undefined {
  const certFile = textSetting(config.tlsCert, '');
  const keyFile = textSetting(config.tlsKey, '');
  const caFile = textSetting(config.tlsCa, '');
  if (certFile === '' && keyFile === '') return undefined;
  if (certFile === '' || keyFile === '')
    throw new DomainError('CONFIGURATION', 'MQTTS needs both a certificate and its key.');
  const port = portSetting(config.tlsPort, 8883, 'Port of MQTTS');
  return { port, certFile, keyFile, ...(caFile === '' ? {} : { caFile }) };
}

function portSetting(value: unknown, fallback: number, name: string): number {
  return numberSetting(value, fallback, { name, min: 1, max: 65_535, whole: true });
}

/** One message per batch. */
function sinkOf(host: Host<Output>): BrokerSink {
  const send = (output: Output) => (payload: readonly unknown[]) =>
    host.emit({ [output]: { topic: output, payload } });
  return { readings: send('readings'), messages: send('messages'), sessions: send('sessions') };
}

function logLine(line: string, details?: object): string {
  return details === undefined ? line : `${line} ${JSON.stringify(details)}`;
}
